"""What accounts.google.com, oauth2.googleapis.com and www.googleapis.com serve: keys, discovery,
token exchange, tokeninfo.

Source: https://developers.google.com/identity/openid-connect/openid-connect and RFC 7523 (JWT bearer grants).
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import not_found
from local_cloud.iam.keys import public_keys, timely, verify_assertion
from local_cloud.identity import jwk
from local_cloud.registry import Api, Call, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

API = Api("oauth2")

#: Verifiers may keep the keys this long.
KEYS_AGE = "public, max-age=3600, must-revalidate"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@API.route("GET", "/service_accounts/v1/jwk/{account}", public=True)
async def account_keys(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """The public keys of one account, which verify what it has signed."""
    return _json({"keys": [jwk(key, kid) for kid, key in _keys_of(cloud, request).items()]}, cache=True)


@API.route("GET", "/robot/v1/metadata/x509/{account}", public=True)
@API.route("GET", "/service_accounts/v1/metadata/x509/{account}", public=True)
async def account_certificates(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """The same as PEM certificates."""
    account = request.params["account"]
    made = {kid: cloud.identity.certificate(key, account) for kid, key in _keys_of(cloud, request).items()}
    return _json(made, cache=True)


@API.route("GET", "/oauth2/v3/certs", public=True)
async def keys(cloud: Cloud, _call: Call, _request: HttpRequest) -> HttpResponse:
    """The JSON web key set."""
    return _json(cloud.identity.jwks(), cache=True)


@API.route("GET", "/oauth2/v1/certs", public=True)
async def certificates(cloud: Cloud, _call: Call, _request: HttpRequest) -> HttpResponse:
    """The same keys as PEM certificates."""
    return _json(cloud.identity.certificates(), cache=True)


@API.route("GET", "/.well-known/openid-configuration", public=True)
async def discovery(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The OpenID provider's document, with our address for the keys."""
    return cloud.identity.discovery(f"http://{request.headers.get('host', cloud.rest_url.partition('//')[2])}")


@API.route("GET", "/tokeninfo", public=True)
@API.route("GET", "/oauth2/v3/tokeninfo", public=True)
@API.route("POST", "/tokeninfo", public=True, wants_json=False)
async def tokeninfo(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """What an ID token or an access token says."""
    claims = cloud.identity.verify_id_token(request.arg("id_token"))
    if claims is not None:
        kid = cloud.identity.key_id
        return _json({**{k: v if isinstance(v, str) else str(v).lower() for k, v in claims.items()}, "kid": kid})
    token = cloud.identity.verify_access_token(request.arg("access_token"))
    if token is None or token.expires <= cloud.now():
        return _json({"error": "invalid_token", "error_description": "Invalid Value"}, status=400)
    email = token.member.partition(":")[2]
    found = cloud.iam.accounts.find(email)
    subject = found.unique_id if found else email
    left = int(token.expires - cloud.now())
    return _json(
        {
            "azp": subject,
            "aud": subject,
            "sub": subject,
            "scope": " ".join(token.scopes),
            "exp": str(int(token.expires)),
            "expires_in": str(left),
            "email": email,
            "email_verified": "true",
        }
    )


@API.route("POST", "/token", public=True, wants_json=False)
async def token(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """Exchanges an assertion signed with a service account's key for an access token or an ID token."""
    form = {k: v[-1] for k, v in parse_qs(request.body.decode("latin-1")).items()}
    if form.get("grant_type") != JWT_BEARER:
        return _refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    claims = verify_assertion(cloud, form.get("assertion", ""))
    if claims is None:
        return _refused("invalid_grant", "Invalid JWT Signature.")
    account = cloud.iam.accounts.get(str(claims["iss"]))
    if wrong := _wrong(cloud, account, claims):
        return wrong
    if audience := claims.get("target_audience"):
        return _json({"id_token": cloud.iam.accounts.id_token(account.email, str(audience))})
    scopes = tuple(str(claims.get("scope", "")).split())
    grant = cloud.identity.access_token(f"serviceAccount:{account.email}", scopes=scopes)
    left = int(grant.expires - cloud.now())
    return _json({"access_token": grant.token, "expires_in": left, "token_type": "Bearer"})


def _wrong(cloud: Cloud, account: Message, claims: dict[str, Any]) -> HttpResponse | None:
    """Why a well signed assertion gets nothing, or None."""
    if not timely(cloud, claims):
        return _refused(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat "
            "and exp values in the JWT claim.",
        )
    if account.disabled:
        return _refused("invalid_grant", "Invalid grant: account not found")
    if claims.get("sub", account.email) not in (account.email, account.unique_id):
        return _refused(
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of "
            "the scopes requested.",
        )
    return None


def _keys_of(cloud: Cloud, request: HttpRequest) -> "dict[str, RSAPublicKey]":
    account = cloud.iam.accounts.find(request.params["account"])
    if account is None:
        raise not_found(f"Unknown service account: {request.params['account']}")
    return public_keys(cloud, account)


def _refused(error: str, text: str) -> HttpResponse:
    return _json({"error": error, "error_description": text}, status=400)


def _json(value: Any, *, status: int = 200, cache: bool = False) -> HttpResponse:
    headers = {"cache-control": KEYS_AGE} if cache else {"cache-control": "no-cache, no-store"}
    return HttpResponse(status, orjson.dumps(value), headers)
