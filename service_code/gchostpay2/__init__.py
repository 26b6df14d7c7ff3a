"""The staged payout's status checker: asks the exchange what an order's status is. Keeps nothing."""
