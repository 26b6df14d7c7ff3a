"""The host wallet, for every service that pays from it: its book, signing, settling, raising fees, sweeping, operating.

A wallet is one row lock per address and chain (`book`), whoever holds it: services that pay from one wallet share its
rows. `payer` has what the parts share, `signing` is the only place where a payout is allocated and signed, `settle`
turns what is mined into rows and postings. Which messages ask for payouts, and who hears of them, is the services'.
"""
