"""The outside world for local runs: a chain, an exchange, a payment processor and a chat.

Owns: one process that plays everything Sluice meets but does not own. The chain is a real EVM (anvil);
the exchange speaks ChangeNow's v2 API and moves real coins on it; the processor sends signed notices as
NowPayments does; the chat answers the part of Telegram's Bot API that the services call. Each of them can
be made to fail on demand, and each keeps its own record of what it was sent and what it answered.

Leaves alone: everything of Sluice. It imports no other room, so that its records can be used as evidence.
"""
