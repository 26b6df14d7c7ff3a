"""Who is calling: the OIDC token of a queue, the scheduler or an operator, verified here as well as at the door.

Checked are the signature (by Google's keys, or those of endpoints.oidc_certs), the issuer, the audience (this
service's base URL), the times by the kit's clock, and the caller's address against CALLERS for the path. Cloud Run
takes the signature away from a token that its own IAM check has verified: such a token is believed only in a service
without public paths, whose door lets nobody else in. Where X-Serverless-Authorization is present Cloud Run looks at
that header alone and passes Authorization on unseen, so it alone is judged here too.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
from jwt.types import Options
from starlette.requests import Request

from service_code.kit.clock import Clock
from service_code.kit.outside import Outside, UnreachableError
from service_code.kit.settings import Settings

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
#: What Cloud Run leaves in the place of a signature that it has verified.
REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
#: Seconds by which two clocks may differ.
LEEWAY = 30
#: The headers that may carry the token; where the first is present, Cloud Run and we look at it alone.
HEADERS = ("x-serverless-authorization", "authorization")
#: Seconds for which the key set is trusted, and the least time between two attempts to fetch it.
KEYS_LIVE = 3600.0
KEYS_PAUSE = 5.0
#: Verified tokens that are remembered, since queues use one for many calls. Their times are judged at every call.
KNOWN = 500


class DoorError(RuntimeError):
    """The caller is not let in."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Door:
    """Verifies callers by path."""

    def __init__(self, settings: Settings, clock: Clock, outside: Outside, *, public: bool) -> None:
        self._settings = settings
        self._clock = clock
        self._outside = outside
        self._public = public
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching = asyncio.Lock()
        self._known: dict[str, dict[str, Any]] = {}

    async def check(self, request: Request, path: str) -> str:
        """Return the caller's address, or raise a DoorError."""
        token = _bearer(request)
        claims = self._known.get(token)
        if claims is None:
            claims = await self._claims(token)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[token] = claims
        self._timely(claims)
        email = str(claims.get("email", ""))
        if not email or claims.get("email_verified") is not True:
            raise DoorError(403, "the token names no verified account")
        if email not in self._settings.callers.get(path, frozenset()):
            raise DoorError(403, f"this account may not call {path}")
        return email

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token.rpartition(".")[0] + "." if token.endswith(REMOVED) else token)
        except jwt.InvalidTokenError as error:
            raise DoorError(401, "the OIDC token cannot be read") from error
        options: Options = {
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "require": ["exp", "iat", "aud"],
        }
        try:
            if token.endswith("." + REMOVED):
                if self._public:
                    raise DoorError(401, "the OIDC token is not signed")
                unsigned: Options = {**options, "verify_signature": False, "verify_aud": True, "verify_iss": True}
                claims = jwt.decode(
                    token.rpartition(".")[0] + ".", options=unsigned, audience=self._settings.url, issuer=ISSUERS
                )
            else:
                key = await self._key(str(header.get("kid", "")))
                claims = jwt.decode(
                    token, key, algorithms=["RS256"], audience=self._settings.url, issuer=ISSUERS, options=options
                )
        except jwt.InvalidAudienceError as error:
            raise DoorError(401, "the OIDC token is for another audience") from error
        except jwt.InvalidTokenError as error:
            raise DoorError(401, f"the OIDC token is not valid: {type(error).__name__}") from error
        return claims

    def _timely(self, claims: dict[str, Any]) -> None:
        now = self._clock.seconds()
        if not isinstance(claims["exp"], int | float) or claims["exp"] < now - LEEWAY:
            raise DoorError(401, "the OIDC token has expired")
        if not isinstance(claims["iat"], int | float) or claims["iat"] > now + LEEWAY:
            raise DoorError(401, "the OIDC token is from the future")

    async def _key(self, kid: str) -> Any:
        # A known key is good while another request fetches; an unknown one waits for that fetch.
        if self._wanted(kid) and not (kid in self._keys and self._fetching.locked()):
            async with self._fetching:
                if self._wanted(kid):
                    await self._fetch()
        if kid not in self._keys:
            if self._failed:
                raise DoorError(500, "the key set cannot be read")
            raise DoorError(401, "the OIDC token is signed by an unknown key")
        return self._keys[kid]

    def _wanted(self, kid: str) -> bool:
        now = time.monotonic()
        return now - self._tried > KEYS_PAUSE and (kid not in self._keys or now - self._fetched > KEYS_LIVE)

    async def _fetch(self) -> None:
        """Fetch the key set; an attempt that fails counts as one too, and leaves the keys that are known."""
        try:
            answer = await self._outside.call("GET", self._settings.endpoints.oidc_certs, what="key set", timeout=5)
            found = jwt.PyJWKSet.from_dict(answer.json()).keys if answer.status == 200 else []
        except (UnreachableError, jwt.PyJWTError, AttributeError, TypeError):
            found = []
        self._tried = time.monotonic()
        self._failed = not found
        if found:
            self._keys = {key.key_id: key.key for key in found if key.key_id}
            self._fetched = self._tried


def _bearer(request: Request) -> str:
    """Return the token of the header that Cloud Run judges."""
    for name in HEADERS:
        given = request.headers.getlist(name)
        if not given:
            continue
        scheme, _, token = given[0].strip().partition(" ")
        if len(given) == 1 and scheme.lower() == "bearer" and token.strip():
            return token.strip()
        break
    raise DoorError(401, "an OIDC token is needed")
