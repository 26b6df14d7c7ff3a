"""Security Token Service v1: exchanges a token of a workload identity provider's issuer for an access token.

Source: RFC 8693, https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token.
"""

from typing import Any
from urllib.parse import parse_qs

import orjson

from local_cloud.cloud import Cloud
from local_cloud.iam.federation import RefusedError, claims_of, member_of
from local_cloud.iam.pools import Pools
from local_cloud.registry import Api, Call, HttpRequest, HttpResponse

API = Api("sts")

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"
_SUBJECTS = (f"{_TYPE}jwt", f"{_TYPE}id_token")
_AUDIENCE = "//iam.googleapis.com/"


@API.route("POST", "/v1/token", public=True, wants_json=False)
async def exchange(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """An access token of the identity that the mapping makes of the token."""
    try:
        return _json(200, await _exchanged(cloud, _form(request)))
    except RefusedError as error:
        return _json(400, {"error": error.code, "error_description": str(error)})


async def _exchanged(cloud: Cloud, form: dict[str, str]) -> dict[str, Any]:
    if form.get("grant_type") != GRANT:
        raise RefusedError("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    if form.get("requested_token_type", f"{_TYPE}access_token") != f"{_TYPE}access_token":
        raise RefusedError("invalid_request", "Invalid requested_token_type: an access_token can be had.")
    if form.get("subject_token_type") not in _SUBJECTS:
        raise RefusedError("invalid_request", f"Invalid subject_token_type: {form.get('subject_token_type', '')}")
    audience = form.get("audience", "")
    name = audience.removeprefix(_AUDIENCE)
    if not audience.startswith(f"{_AUDIENCE}projects/") or "/providers/" not in name:
        raise RefusedError(
            "invalid_request",
            'Invalid value for "audience". This value should be the full resource name of the Identity Provider. See '
            "https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        )
    provider = cloud.use(Pools).usable(name)
    if provider is None or "oidc" not in provider:
        raise RefusedError(
            "invalid_target",
            'The target service indicated by the "audience" parameters is invalid. This might either be because the '
            "pool or provider is disabled or deleted or because it doesn't exist.",
        )
    claims = await claims_of(cloud, name, provider, form.get("subject_token", ""))
    member, sets = member_of(name.partition("/providers/")[0], provider, claims)
    scopes = tuple(form.get("scope", "").split())
    grant = cloud.identity.access_token(member, scopes=scopes, sets=sets)
    return {
        "access_token": grant.token,
        "issued_token_type": f"{_TYPE}access_token",
        "token_type": "Bearer",
        "expires_in": int(grant.expires - cloud.now()),
    }


def _form(request: HttpRequest) -> dict[str, str]:
    """The parameters: a form as RFC 8693 has it, or JSON with Google's names."""
    if "json" not in request.headers.get("content-type", ""):
        return {name: values[-1] for name, values in parse_qs(request.body.decode("latin-1")).items()}
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise RefusedError("invalid_request", "The request must be a JSON object of strings.")
    names: dict[str, str] = {"grantType": "grant_type", "requestedTokenType": "requested_token_type"}
    names = names | {"subjectToken": "subject_token", "subjectTokenType": "subject_token_type"}
    return {names.get(str(name), str(name)): value for name, value in given.items()}


def _json(status: int, value: Any) -> HttpResponse:
    return HttpResponse(status, orjson.dumps(value), {"cache-control": "no-cache, no-store"})
