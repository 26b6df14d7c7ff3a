"""What can go wrong at start, each as one line that says what to do.

Owns: the exception tree of the room. Leaves alone: errors answered over HTTP, which each API words as the
real one does.
"""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot go on; the message is the whole explanation."""


class ConfigError(SandboxError):
    """The config file is missing, is not JSON, or a key in it is wrong."""


class PortInUseError(SandboxError):
    """Another process listens where the sandbox should."""


class NoChainError(SandboxError):
    """The chain's program is not installed or does not start."""


class ChainError(Exception):
    """The chain answered a JSON-RPC call with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
