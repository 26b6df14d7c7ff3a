"""The registry of clients."""
