"""The staged payout's orchestrator: accepts, decides by the exchange's status, and records how it ended."""
