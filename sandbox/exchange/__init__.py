"""A ChangeNow that moves real coins.

Owns: v2 of the exchange's API, its rates, its orders and its wallet on the chain. Leaves alone: other chains
than Ethereum: a payout in another currency is recorded with a made-up hash and no coins.
"""
