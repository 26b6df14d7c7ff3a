"""The threshold payout's accumulator: takes the fee of a payment and lets the rest wait for its client's threshold."""
