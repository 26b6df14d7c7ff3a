"""PayNow: its notices, the events that come of them, and the wallets that they credit (docs/adr/paynow.md)."""
