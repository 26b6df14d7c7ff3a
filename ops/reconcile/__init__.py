"""`sluice reconcile`: ledger, chain, exchange and queues held against one another, over HTTP alone.

The services own their data: each has doors for operators that say what stands where (`/reconcile/...`). Here their
answers are joined with what Cloud Tasks holds, twice, and what is wrong both times is named. Nothing is written.
"""
