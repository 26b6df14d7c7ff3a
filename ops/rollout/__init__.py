"""Rollouts: a share of payments raised step by step, held by gates, taken back in seconds.

Owns the state that the next operator finds (state, store, lock), what is done next (decide, a pure function), the walk
that does it (walk), what a share is in the cloud and in config (effects), the way back (rollback), the page of what was
seen and why it was decided (page). Gates, which judge, are `gate/`'s; the choice of a payment's way is the services'.
"""
