"""A real Ethereum chain: anvil's EVM, our mining by the moved clock, and a door that can fail.

Owns: the process, its state on disk, when blocks are made, and what outsiders may call. Leaves alone: who
pays whom.
"""
