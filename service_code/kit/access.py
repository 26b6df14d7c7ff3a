"""Access tokens of the service's own account, from google.auth: for Cloud Tasks, Cloud KMS and the database login.

google.auth refreshes in a thread, since it is synchronous. A token's life is counted by the kit's clock, so that a
moved clock asks for a new one. google.auth is imported late: it reads the metadata server's address when imported.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Any, Protocol

from service_code.kit.clock import Clock

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: A token is replaced this long before it ends.
MARGIN = 300.0


class Access(Protocol):
    """Gives bearer tokens."""

    async def token(self) -> str:
        """Return a valid access token."""
        ...

    def forget(self) -> None:
        """Drop the token that was refused, so that the next one is new."""
        ...


class GoogleAccess:
    """Tokens of the account that the service runs as."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credentials: Any = None
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return the cached token, or fetch one; many callers cause one fetch."""
        if self._clock.seconds() < self._good_until:
            return self._token
        async with self._lock:
            if self._clock.seconds() >= self._good_until:
                self._token, life = await asyncio.to_thread(self._fetch)
                self._good_until = self._clock.seconds() + max(life - MARGIN, min(life, 30.0))
        return self._token

    def forget(self) -> None:
        """Drop the token."""
        self._good_until = 0.0

    def _fetch(self) -> tuple[str, float]:
        import google.auth
        from google.auth import compute_engine
        from google.auth.transport.requests import Request

        if self._credentials is None:
            # On Cloud Run the metadata server is known to be there: default() would first probe for it.
            self._credentials = (
                compute_engine.Credentials()  # type: ignore[no-untyped-call]
                if os.environ.get("K_SERVICE")
                else google.auth.default(scopes=[SCOPE])[0]
            )
        self._credentials.refresh(Request())
        expiry = self._credentials.expiry
        life = (expiry - datetime.now(UTC).replace(tzinfo=None)).total_seconds() if expiry else 600.0
        return str(self._credentials.token), life
