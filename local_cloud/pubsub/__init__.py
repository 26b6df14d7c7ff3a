"""Pub/Sub beneath its API: the durable log of messages, each subscription's backlog, and publishing for everybody."""
