"""The threshold payout's batches: one payout for all that waits for a client, once the threshold is met."""
