"""Workload identity federation: what a token of somebody else's issuer says of its holder, and whom policies call so.

Owns the check of OIDC tokens against a provider (issuer, audience, signature, times), the mapping of claims and the
condition, both in CEL. Pools and providers are kept by pools.py. An issuer on loopback may speak plain HTTP.
Sources: https://cloud.google.com/iam/docs/workload-identity-federation, .../reference/sts/rest/v1/TopLevel/token;
refusals as public issue threads have them.
"""

import asyncio
import re
import urllib.request
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from local_cloud.errors import ApiError, invalid
from local_cloud.iam.conditions import extract

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: A provider's JSON, and the claims of a token.
Json = dict[str, Any]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: How long an issuer's keys are asked for.
PATIENCE = 5.0
#: Seconds between a token's beginning and its end, and by which clocks may differ.
LONGEST, SKEW = 86_400, 60
#: Most of what a mapping may give: bytes of google.subject, and of each attribute.
MOST_SUBJECT, MOST_ATTRIBUTE = 127, 100
_TARGET = re.compile(r"google\.(subject|groups|display_name|profile_photo)|attribute\.[a-z0-9_]{1,100}")


class RefusedError(Exception):
    """The token exchange is refused: OAuth's code and words for it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


async def claims_of(cloud: "Cloud", name: str, provider: Json, token: str) -> Json:
    """The claims of a token that the provider's issuer has signed for it and that is valid now."""
    import jwt

    oidc = provider["oidc"]
    try:
        head = jwt.get_unverified_header(token)
        claims: Json = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise RefusedError("invalid_request", "Unable to parse the ID Token.") from None
    if claims.get("iss") != oidc["issuerUri"]:
        text = f"The issuer in ID Token {claims.get('iss')} does not match the expected ones: {oidc['issuerUri']}"
        raise RefusedError("invalid_grant", text)
    wanted = oidc.get("allowedAudiences") or [f"https://iam.googleapis.com/{name}", f"//iam.googleapis.com/{name}"]
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
    if not set(map(str, audiences)) & set(wanted):
        text = f"The audience in ID Token [{', '.join(map(str, audiences))}] does not match the expected audience."
        raise RefusedError("invalid_grant", text)
    _check_times(cloud, claims)
    keys = orjson.loads(oidc["jwksJson"]) if oidc.get("jwksJson") else await _fetched(oidc["issuerUri"])
    for key in keys.get("keys", ()):
        if "kid" in head and key.get("kid") != head["kid"]:
            continue
        try:
            algorithms = ["RS256", "ES256"]
            options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
            jwt.decode(token, jwt.PyJWK(key, algorithm=head["alg"]).key, algorithms=algorithms, options=options)
        except jwt.PyJWTError:
            continue
        return claims
    raise RefusedError("invalid_grant", "Invalid JWT Signature: no key of the issuer has signed the ID Token.")


def member_of(pool: str, provider: Json, claims: Json) -> tuple[str, tuple[str, ...]]:
    """What policies call the holder: the principal, and the principal sets that it belongs to."""
    mapped: Json = {}
    for target, expression in provider["attributeMapping"].items():
        try:
            mapped[target] = _compiled(expression, False).eval(data={"assertion": claims}).plain_value()
        except RuntimeError as error:
            raise RefusedError(
                "invalid_request", f"Mapped attribute {target} could not be evaluated: {error}"
            ) from None
    subject = mapped.get("google.subject")
    if not isinstance(subject, str) or not 0 < len(subject.encode()) <= MOST_SUBJECT:
        raise RefusedError("invalid_grant", "The mapped attribute google.subject must be a string of 1 to 127 bytes.")
    attributes = {key.partition(".")[2]: value for key, value in mapped.items() if key.startswith("attribute.")}
    if condition := provider.get("attributeCondition"):
        facts = {"assertion": claims, "attribute": attributes, "google.subject": subject}
        facts["google.groups"] = mapped.get("google.groups", [])
        try:
            holds = _compiled(condition, True).eval(data=facts).plain_value() is True
        except RuntimeError:
            holds = False
        if not holds:
            raise RefusedError("unauthorized_client", "The given credential is rejected by the attribute condition.")
    at = f"//iam.googleapis.com/{pool}"
    sets = [f"principalSet:{at}/*"]
    groups = mapped.get("google.groups") or []
    sets += [f"principalSet:{at}/group/{group}" for group in (groups if isinstance(groups, list) else [groups])]
    for key, value in sorted(attributes.items()):
        if isinstance(value, str) and len(value.encode()) <= MOST_ATTRIBUTE:
            sets.append(f"principalSet:{at}/attribute.{key}/{value}")
    return f"principal:{at}/subject/{subject}", tuple(sets)


def check_provider(provider: Json) -> None:
    """Refuses mappings, conditions and issuers that could not be used."""
    mapping = provider.get("attributeMapping")
    if not isinstance(mapping, dict) or not all(isinstance(value, str) for value in mapping.values()):
        raise invalid("The attribute mapping must map attributes to CEL expressions.")
    if "google.subject" not in mapping:
        raise invalid("The attribute mapping must contain google.subject.")
    for target, expression in mapping.items():
        if not _TARGET.fullmatch(target) or len(target) > 110:
            raise invalid(f"Invalid mapped attribute key: {target}")
        check_expression(expression, of=f"the mapping of {target}", longest=2048)
    condition = provider.get("attributeCondition", "")
    if not isinstance(condition, str):
        raise invalid("The attribute condition must be a string.")
    if condition:
        check_expression(condition, of="the attribute condition", longest=4096, condition=True)


def check_expression(expression: str, *, of: str, longest: int, condition: bool = False) -> None:
    """Refuses an expression that CEL does not compile."""
    if len(expression) > longest:
        raise invalid(f"The expression of {of} has {len(expression)} characters; at most {longest} are allowed.")
    try:
        _compiled(expression, condition)
    except RuntimeError as error:
        raise invalid(f"Failed to compile {of}: {error}") from None


def check_oidc(oidc: Any) -> None:
    """Refuses issuers that nobody could ask, and keys that are none."""
    if not isinstance(oidc, dict) or not isinstance(oidc.get("issuerUri"), str):
        raise invalid("The OIDC provider must have an issuer URI.")
    parts = urlsplit(oidc["issuerUri"])
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise invalid(f"Invalid OIDC issuer URI: {oidc['issuerUri']}. The scheme must be https.")
    audiences = oidc.get("allowedAudiences", [])
    if not isinstance(audiences, list) or len(audiences) > 10 or not all(isinstance(a, str) for a in audiences):
        raise invalid("At most 10 allowed audiences may be given, each a string.")
    if oidc.get("jwksJson"):
        try:
            keys = orjson.loads(oidc["jwksJson"])["keys"]
            well = isinstance(keys, list) and all(isinstance(key, dict) and "kty" in key for key in keys)
        except (KeyError, TypeError, orjson.JSONDecodeError):
            well = False
        if not well:
            raise invalid("The JWKS JSON is invalid: it must be an object with the keys.")


def _check_times(cloud: "Cloud", claims: Mapping[str, Any]) -> None:
    try:
        issued, expires = float(claims["iat"]), float(claims["exp"])
    except (KeyError, TypeError, ValueError):
        raise RefusedError("invalid_grant", "The ID Token must have the claims iat and exp.") from None
    # The issuer's clock is the machine's or the cloud's: a token that is valid by either is.
    clocks = (cloud.now(), cloud.now() - cloud.clock.offset)
    if expires - issued > LONGEST:
        raise RefusedError("invalid_grant", "The ID Token must not be valid for more than 24 hours.")
    if not any(issued - SKEW <= now for now in clocks):
        raise RefusedError("invalid_grant", f"ID Token issued at {issued:.0f} is not valid yet.")
    if not any(issued - SKEW <= now < expires for now in clocks):
        raise RefusedError("invalid_grant", f"ID Token issued at {issued:.0f} is stale to sign-in.")


async def _fetched(issuer: str) -> Json:
    try:
        found = await asyncio.to_thread(_get, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        return await asyncio.to_thread(_get, str(found["jwks_uri"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"Error connecting to the given credential's issuer: {error}"
        raise RefusedError("invalid_grant", text) from None


def _get(url: str) -> Json:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError(f"{url} is neither https nor on loopback")
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        read = orjson.loads(answer.read(1_000_000))
    if not isinstance(read, dict):
        raise ValueError(f"{url} did not answer with an object")
    return read


@lru_cache(maxsize=200)
def _compiled(expression: str, condition: bool) -> Any:
    made = _environment().compile(expression)
    kind = made.return_type().name().upper()
    if condition and kind not in ("BOOL", "DYN"):
        raise RuntimeError(f"it gives {kind}, not true or false: {expression}")
    return made


@cache
def _environment() -> Any:
    """What expressions are compiled against. Imported late: few projects need it."""
    from cel_expr_python import cel  # type: ignore[import-untyped]

    kind = cel.Type
    overload = cel.Overload("sts_extract", kind.STRING, [kind.STRING, kind.STRING], is_member=True, impl=extract)
    return cel.NewEnv(
        variables={
            "assertion": kind.Map(kind.STRING, kind.DYN),
            "attribute": kind.Map(kind.STRING, kind.DYN),
            "google.subject": kind.STRING,
            "google.groups": kind.List(kind.STRING),
        },
        extensions=[cel.CelExtension("sts", [cel.FunctionDecl("extract", [overload])])],
    )


def unusable(name: str) -> ApiError:
    """NOT_FOUND of a pool or a provider, as IAM words it."""
    return ApiError("NOT_FOUND", f"Requested entity was not found: {name}")
