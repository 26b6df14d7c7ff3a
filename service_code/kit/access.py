"""Tokens of the service's own account, from google.auth: access tokens for Cloud Tasks, Cloud KMS and the database
login, and ID tokens for other services.

google.auth refreshes in a thread, since it is synchronous. A token's life is counted by the kit's clock, so that a
moved clock asks for a new one. google.auth is imported late: it reads the metadata server's address when imported.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import jwt

from service_code.kit.clock import Clock
from service_code.kit.outside import Answer

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: A token is replaced this long before it ends.
MARGIN = 300.0


class Access(Protocol):
    """Gives bearer tokens."""

    async def token(self) -> str:
        """Return a valid access token."""
        ...

    async def id_token(self, audience: str) -> str:
        """Return a token that tells a service of ours who is calling."""
        ...

    def forget(self) -> None:
        """Drop what was refused, so that the next token is new."""
        ...


async def once_more(access: Access, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make a call with a token of ours, and once more with a new one where it died before its time: a moved clock."""
    answer = await call()
    if answer.status != 401:
        return answer
    access.forget()
    return await call()


class GoogleAccess:
    """Tokens of the account that the service runs as."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credentials: Any = None
        self._token = ""
        self._good_until = 0.0
        self._id_tokens: dict[str, tuple[str, float]] = {}
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

    async def id_token(self, audience: str) -> str:
        """Return the cached ID token for a service, or fetch one; it says itself when it ends."""
        async with self._lock:
            token, good_until = self._id_tokens.get(audience, ("", 0.0))
            if self._clock.seconds() >= good_until:
                token = await asyncio.to_thread(_fetch_id_token, audience)
                ends = float(jwt.decode(token, options={"verify_signature": False})["exp"])
                self._id_tokens[audience] = (token, ends - MARGIN)
        return token

    def forget(self) -> None:
        """Drop the tokens."""
        self._good_until = 0.0
        self._id_tokens.clear()

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


def _fetch_id_token(audience: str) -> str:
    from google.auth import compute_engine
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    request = Request()
    if not os.environ.get("K_SERVICE"):
        return str(id_token.fetch_id_token(request, audience))  # type: ignore[no-untyped-call]
    credentials = compute_engine.IDTokenCredentials(  # type: ignore[no-untyped-call]
        request, audience, use_metadata_identity_endpoint=True
    )
    credentials.refresh(request)  # type: ignore[no-untyped-call]
    return str(credentials.token)
