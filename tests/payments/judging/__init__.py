"""The judge's parts: what is known from outside (`facts`), the chain and the database as they are read (`chain`,
`books`), and what must hold of them (`payouts`, `postings`, `points`), put together by `verdict`.

Imports nothing of Sluice and nothing of the sandbox, so that a mistake of theirs cannot hide here. The formulas are
those of docs/adr/ledger-accounts.md.
"""
