"""Who calls the registry: Basic credentials as docker gives them, tokens, and the challenge that asks for them.

Sources: https://cloud.google.com/artifact-registry/docs/docker/authentication, the distribution project's token
authentication ("Bearer realm").
"""

import base64
import binascii
from typing import Any

import orjson

from local_cloud.apis.artifact_registry.api import API
from local_cloud.apis.artifact_registry.refusals import RegistryError, refused
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.exchanges import Exchange
from local_cloud.registry import Door, Principal


def caller(exchange: Exchange, name: str = "") -> Principal:
    """Who calls; the challenge where that is not said well."""
    return _known(exchange, _bearer(exchange), name)


def _known(exchange: Exchange, bearer: str | None, name: str = "") -> Principal:
    try:
        return exchange.caller(API.host, bearer)
    except ApiError as error:
        if error.code == "UNAUTHENTICATED":
            raise challenge(exchange, name) from None
        raise


def _bearer(exchange: Exchange) -> str | None:
    """The token of the request as `Bearer`: Basic credentials hold one as the password of `oauth2accesstoken`."""
    kind, _, value = exchange.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value).decode().partition(":")
        if user == "_json_key_base64":
            user, password = "_json_key", base64.b64decode(password).decode()
    except (binascii.Error, UnicodeError):
        return "Bearer invalid"
    if user == "_json_key":
        email = _holder(exchange.cloud, password)
        password = exchange.cloud.identity.access_token(f"serviceAccount:{email}").token if email else ""
    return f"Bearer {password}"


def _holder(cloud: Cloud, file: str) -> str:
    """The account whose key a credentials file has; "" where it is no key of an account that is here."""
    from local_cloud.iam.keys import public_keys
    from local_cloud.rsa_keys import load_key

    try:
        key: dict[str, Any] = orjson.loads(file)
        account = cloud.iam.accounts.find(key["client_email"])
        kept = public_keys(cloud, account)[key["private_key_id"]] if account is not None else None
        mine = load_key(key["private_key"]).public_key()
    except Exception:  # whatever is wrong with it, it proves nothing
        return ""
    return str(key["client_email"]) if kept is not None and kept.public_numbers() == mine.public_numbers() else ""


def challenge(exchange: Exchange, name: str = "") -> RegistryError:
    """The refusal that says where tokens are to be had."""
    host = exchange.base.partition("//")[2]
    scope = (
        f',scope="repository:{name}:{"pull" if exchange.method in ("GET", "HEAD") else "pull,push"}"' if name else ""
    )
    realm = f'Bearer realm="{exchange.base}/v2/token",service="{host}"{scope}'
    return refused("UNAUTHORIZED", "authentication failed", 401, headers={"www-authenticate": realm})


async def give_token(exchange: Exchange) -> None:
    """The token that was shown, which may do no more for having been here; one of the owner's at the owner's door."""
    if exchange.door is not Door.OWNER and "authorization" not in exchange.headers:
        raise challenge(exchange)
    bearer = _bearer(exchange)
    principal = _known(exchange, bearer)
    token = (bearer or exchange.headers.get("authorization", "")).partition(" ")[2].strip()
    expires = _end(exchange.cloud, token)
    if expires is None:  # the owner's door takes whatever is no token of ours for the owner's
        grant = exchange.cloud.identity.access_token(principal.member)
        token, expires = grant.token, grant.expires
    left = max(0, int(expires - exchange.cloud.now()))
    await exchange.answer(200, orjson.dumps({"token": token, "access_token": token, "expires_in": left}))


def _end(cloud: Cloud, token: str) -> float | None:
    """When a token of ours ends, or one that a service account has signed itself; None where it is neither."""
    from local_cloud.iam.keys import timely, verify_assertion

    if (found := cloud.identity.verify_access_token(token)) is not None:
        return found.expires
    claims = verify_assertion(cloud, token)
    return float(claims["exp"]) if claims is not None and "sub" in claims and timely(cloud, claims) else None
