"""Alchemy's webhooks on loopback: what the chain does with the host wallet's transactions, told as signed events."""

from sandbox.alchemy.sender import Sender
from sandbox.alchemy.watcher import Watcher

__all__ = ["Sender", "Watcher"]
