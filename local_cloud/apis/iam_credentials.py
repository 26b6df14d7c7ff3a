"""IAM Credentials v1: short-lived tokens and signatures of service accounts, for who may have them.

Source: google/iam/credentials/v1/common.proto and https://cloud.google.com/iam/docs/create-short-lived-credentials-direct.
"""

import orjson

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import failed_precondition, invalid, not_found
from local_cloud.registry import Api, Call

API = Api(
    "iamcredentials",
    services=["google.iam.credentials.v1.IAMCredentials"],
    refusal="Permission '{permission}' denied on resource (or it may not exist).",
)

#: Access tokens live an hour at most without an organisation policy.
MAX_LIFETIME = 3600


@API.rpc("GenerateAccessToken", permission="iam.serviceAccounts.getAccessToken")
async def generate_access_token(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A token for the account."""
    account = _active(cloud, request.name)
    if not request.scope:
        raise invalid("Request contains an invalid argument: scope is required.")
    seconds = request.lifetime.seconds or MAX_LIFETIME
    if not 0 < seconds <= MAX_LIFETIME:
        raise invalid("Request contains an invalid argument: lifetime must be at most 3600s.")
    member = f"serviceAccount:{account.email}"
    grant = cloud.identity.access_token(member, scopes=tuple(request.scope), seconds=seconds)
    response = message("google.iam.credentials.v1.GenerateAccessTokenResponse")(access_token=grant.token)
    response.expire_time.FromSeconds(int(grant.expires))
    return response


@API.rpc("GenerateIdToken", permission="iam.serviceAccounts.getOpenIdToken")
async def generate_id_token(cloud: Cloud, _call: Call, request: Message) -> Message:
    """An ID token of the account for an audience."""
    account = _active(cloud, request.name)
    if not request.audience:
        raise invalid("Request contains an invalid argument: audience is required.")
    token = cloud.identity.id_token(
        account.email, account.unique_id, request.audience, with_email=request.include_email
    )
    return message("google.iam.credentials.v1.GenerateIdTokenResponse")(token=token)


@API.rpc("SignJwt", permission="iam.serviceAccounts.signJwt")
async def sign_jwt(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A JWT over the caller's claims."""
    _active(cloud, request.name)
    try:
        claims = orjson.loads(request.payload)
    except orjson.JSONDecodeError:
        claims = None
    if not isinstance(claims, dict):
        raise invalid("The payload must be a JSON object with the claims.")
    signed = cloud.identity.sign_jwt(claims)
    return message("google.iam.credentials.v1.SignJwtResponse")(key_id=cloud.identity.key_id, signed_jwt=signed)


@API.rpc("SignBlob", permission="iam.serviceAccounts.signBlob")
async def sign_blob(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A signature over the caller's bytes."""
    _active(cloud, request.name)
    signed = cloud.identity.sign(request.payload)
    return message("google.iam.credentials.v1.SignBlobResponse")(key_id=cloud.identity.key_id, signed_blob=signed)


def _active(cloud: Cloud, name: str) -> Message:
    account: Message | None = cloud.iam.accounts.find(name)
    if account is None:
        raise not_found(f"Not found; Gaia id not found for email {name.rpartition('/')[2]}")
    if account.disabled:
        raise failed_precondition(f"The service account {account.email} is disabled.")
    return account
