"""A payment processor with NowPayments' notices, and the bot that makes the orders.

Owns: minting order tokens, signing and sending notices, and its own record of both. Leaves alone: coins: what
it says was paid is said only; the host wallet was funded beforehand.
"""
