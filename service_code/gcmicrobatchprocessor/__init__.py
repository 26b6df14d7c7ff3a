"""The threshold payout's small batches: converts together what is too small to be converted alone."""
