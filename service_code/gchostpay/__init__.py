"""The payer: signs, broadcasts and settles payouts from the host wallet."""
