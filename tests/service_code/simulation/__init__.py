"""All flows at once in one process under random faults: services in the test's loop, real Postgres, a real chain.

Owns: killing instances between any two awaits, the weather outside, the laws of queues and topics, and the scheduler
that chooses by a seed what happens next. Leaves alone: judging the money, which is `verdict`'s and the judge's.
"""
