"""The gates of a rollout: what is read of both sides (`read`), and what that says (`judge`), data in and data out.

`target.py` says which series belong to which side, `law.py` holds the statistics. Leaves alone what follows from a
verdict: that is `decide`'s.
"""
