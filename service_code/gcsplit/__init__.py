"""The split: divides a payment, orders the exchange, and buries or replays what dies."""
