"""Benchmarks: each prints what it measured beside what it is compared to; `python -m bench` runs them, JSON last."""
