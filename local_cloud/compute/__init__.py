"""Compute Engine inside, as far as networks go: what is kept, its operations, and the law of address ranges."""
