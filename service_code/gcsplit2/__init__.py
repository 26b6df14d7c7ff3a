"""The threshold payout's converter: what an accumulated payment is worth, and whether its client's threshold is met."""
