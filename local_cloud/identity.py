"""Who is who: access tokens, Google-shaped OIDC ID tokens, and the keys that verify them.

The RSA key of ID tokens is made when it is first needed and kept in the state, so that tokens outlive a restart. Each
account that signs (signJwt, signBlob) gets a key of its own at its first signature: what it signs cannot pass for an ID
token. Access tokens are opaque to others and verify without a table: their content is sealed with a key of the state.
Everything expires by the cloud's clock.
Sources: OpenID Connect at accounts.google.com (claims, discovery document), RFC 7519.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from local_cloud.clock import Clock
from local_cloud.settings import Settings
from local_cloud.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://accounts.google.com"

#: Google's tokens live an hour.
TOKEN_SECONDS = 3600

#: A cached ID token is given again until this long before its end.
REUSE_MARGIN = 300

#: What access tokens begin with, as Google's do.
ACCESS_PREFIX = "ya29."

#: Cached ID tokens; above this the cache starts anew.
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token."""

    member: str
    expires: float
    scopes: tuple[str, ...]
    #: The principal sets that a federated identity belongs to.
    sets: tuple[str, ...] = ()


class Identity:
    """Issues and verifies tokens for any account; whether the account exists is the caller's affair."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._keys = store.json("identity")
        if "keys" not in self._keys:
            self._keys["keys"] = {"access": secrets.token_hex(32)}
        self._access = bytes.fromhex(self._keys["keys"]["access"])
        self._account_keys = store.json("identity.accounts")
        self._loaded: dict[str, rsa.RSAPrivateKey] = {}
        self._id_tokens: dict[tuple[str, str, bool], tuple[float, str]] = {}

    @cached_property
    def _rsa(self) -> "rsa.RSAPrivateKey":
        """The key of ID tokens. To make it takes a tenth of a second, which the start of a cloud does not wait for."""
        from local_cloud import rsa_keys

        kept = self._keys["keys"]
        if "rsa" not in kept:
            kept["rsa"] = rsa_keys.new_key()
            self._keys.save("keys")
        return rsa_keys.load_key(kept["rsa"])

    @cached_property
    def key_id(self) -> str:
        """The id under which the key of ID tokens is published."""
        return key_id(self._rsa.public_key())

    def id_token(self, email: str, subject: str, audience: str, *, with_email: bool = True) -> str:
        """An ID token as the metadata server and Cloud Tasks get it: signed, an hour long, cached for its reuse."""
        now = self._clock.now()
        cached = self._id_tokens.get((subject, audience, with_email))
        if cached and cached[0] - REUSE_MARGIN > now:
            return cached[1]
        claims: dict[str, Any] = {"aud": audience, "azp": subject}
        if with_email:
            claims |= {"email": email, "email_verified": True}
        claims |= {"exp": int(now) + TOKEN_SECONDS, "iat": int(now), "iss": ISSUER, "sub": subject}
        token = self.sign_jwt(claims)
        if len(self._id_tokens) >= MAX_CACHED:
            self._id_tokens.clear()
        self._id_tokens[subject, audience, with_email] = (claims["exp"], token)
        return token

    def sign_jwt(self, claims: Mapping[str, Any], *, unique_id: str = "") -> str:
        """An RS256 JWT over any claims, under the key of ID tokens, or of the account with this unique id."""
        from local_cloud.rsa_keys import sign

        key = self.account_key(unique_id) if unique_id else self._rsa
        head = {"alg": "RS256", "kid": key_id(key.public_key()) if unique_id else self.key_id, "typ": "JWT"}
        payload = f"{_b64(orjson.dumps(head))}.{_b64(orjson.dumps(dict(claims)))}"
        return f"{payload}.{_b64(sign(key, payload.encode()))}"

    def sign_as(self, unique_id: str, data: bytes) -> tuple[str, bytes]:
        """An account's signature over bytes, with the id of its key."""
        from local_cloud.rsa_keys import sign

        key = self.account_key(unique_id)
        return key_id(key.public_key()), sign(key, data)

    def account_key(self, unique_id: str) -> "rsa.RSAPrivateKey":
        """The key that the cloud keeps for an account, made when it is first needed."""
        from local_cloud.rsa_keys import load_key, new_key

        if unique_id not in self._loaded:
            if unique_id not in self._account_keys:
                self._account_keys[unique_id] = new_key()
            self._loaded[unique_id] = load_key(self._account_keys[unique_id])
        return self._loaded[unique_id]

    def has_account_key(self, unique_id: str) -> bool:
        """Whether the account has signed anything yet."""
        return unique_id in self._account_keys

    def verify_id_token(self, token: str, audience: str | None = None) -> dict[str, Any] | None:
        """The claims of an ID token of ours that is valid now (for the audience, where one is given), else None."""
        from local_cloud.rsa_keys import verify

        try:
            payload, _, signature = token.rpartition(".")
            verify(self._rsa.public_key(), unb64(signature), payload.encode())
            claims: dict[str, Any] = orjson.loads(unb64(payload.partition(".")[2]))
        except Exception:  # whatever is wrong with it, it is not ours
            return None
        valid = claims.get("iss") == ISSUER and claims.get("exp", 0) > self._clock.now()
        return claims if valid and audience in (None, claims.get("aud")) else None

    def access_token(
        self,
        member: str,
        *,
        scopes: tuple[str, ...] = (),
        seconds: float = TOKEN_SECONDS,
        sets: tuple[str, ...] = (),
    ) -> "AccessGrant":
        """An access token for a principal, such as "serviceAccount:x@..."."""
        expires = self._clock.now() + seconds
        body = orjson.dumps([member, expires, list(scopes), *([list(sets)] if sets else [])])
        seal = hmac.digest(self._access, body, "sha256")[:16]
        return AccessGrant(f"{ACCESS_PREFIX}{_b64(seal + body)}", expires)

    def verify_access_token(self, token: str) -> AccessToken | None:
        """Whose token it is, expired or not (compare `expires`); None when it is not one of ours."""
        if not token.startswith(ACCESS_PREFIX):
            return None
        try:
            data = unb64(token[len(ACCESS_PREFIX) :])
            seal, body = data[:16], data[16:]
            if not hmac.compare_digest(seal, hmac.digest(self._access, body, "sha256")[:16]):
                return None
            member, expires, scopes, *sets = orjson.loads(body)
        except Exception:  # not base64, not JSON: not ours
            return None
        return AccessToken(member, expires, tuple(scopes), tuple(sets[0]) if sets else ())

    def key_for(self, what: str) -> str:
        """A stable secret name that nobody else can guess."""
        return hmac.digest(self._access, what.encode(), "sha256").hex()[:32]

    def jwks(self) -> dict[str, Any]:
        """The key set at /oauth2/v3/certs."""
        return {"keys": [jwk(self._rsa.public_key(), self.key_id)]}

    def certificates(self) -> dict[str, str]:
        """The map of PEM certificates at /oauth2/v1/certs, which google.oauth2.id_token reads."""
        return {self.key_id: self.certificate(self._rsa.public_key(), "federated-signon.system.gserviceaccount.com")}

    def certificate(self, key: "rsa.RSAPublicKey", name: str) -> str:
        """A certificate over a public key, in PEM."""
        from local_cloud.rsa_keys import certificate

        return certificate(key, name, int(key_id(key)[:16], 16), self._rsa)

    def discovery(self, base: str) -> dict[str, Any]:
        """The OpenID configuration, with our own address for the keys."""
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{base}/o/oauth2/v2/auth",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/oauth2/v3/certs",
            "response_types_supported": ["code", "token", "id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "sub"],
        }


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """A new access token and its end."""

    token: str
    expires: float


def key_id(key: "rsa.RSAPublicKey") -> str:
    """The id that a key is published under."""
    return hashlib.sha1(_modulus(key).encode(), usedforsecurity=False).hexdigest()


def jwk(key: "rsa.RSAPublicKey", kid: str) -> dict[str, str]:
    """A public key as JSON web key."""
    return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": _modulus(key), "e": "AQAB"}


def _modulus(key: "rsa.RSAPublicKey") -> str:
    return _b64(key.public_numbers().n.to_bytes(key.key_size // 8, "big"))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of a part of a token, which comes without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
