"""The outside world for local runs: exchange, payment processor, Telegram and a real Ethereum dev chain."""
