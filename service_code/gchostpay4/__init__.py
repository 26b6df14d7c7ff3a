"""The chain's webhook: hears from Alchemy what happens to the wallet's transactions, and has the payer look."""
