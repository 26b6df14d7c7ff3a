"""IAM Credentials v1: short-lived tokens and signatures of service accounts, for who may have them.

A chain of delegates is walked as documented: the caller must be allowed to delegate through the first, each one through
the next, and the last must be allowed what is asked of the account itself. IAM admin's deprecated methods of the same
names stand on the same REST paths of another host, and are not there.
Sources: google/iam/credentials/v1/common.proto, https://cloud.google.com/iam/docs/create-short-lived-credentials-delegated.
"""

from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import failed_precondition, invalid, not_found
from local_cloud.identity import key_id
from local_cloud.registry import Api, Call, Principal

API = Api("iamcredentials", services=["google.iam.credentials.v1.IAMCredentials"])

V1 = "google.iam.credentials.v1"

#: Access tokens live an hour at most; twelve want an organisation's policy, which there is none of.
MAX_LIFETIME = 3600
#: A claim `exp` may lie this far ahead in what signJwt signs.
MAX_EXPIRY = 12 * 3600


@API.rpc("GenerateAccessToken")
async def generate_access_token(cloud: Cloud, call: Call, request: Message) -> Message:
    """A token for the account."""
    account = _authorized(cloud, call, request, "iam.serviceAccounts.getAccessToken")
    if not any(request.scope):
        raise invalid("Request contains an invalid argument: scope is required.")
    seconds = request.lifetime.ToNanoseconds() / 1e9 if request.HasField("lifetime") else MAX_LIFETIME
    if seconds <= 0:
        raise invalid("Request contains an invalid argument: lifetime must be positive.")
    if seconds > MAX_LIFETIME:
        raise invalid(
            f"Access tokens for service account {account.email} can not have lifetimes of more than 1 hour. Use the "
            "Org Policy Constraint constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 "
            "hours."
        )
    member = f"serviceAccount:{account.email}"
    grant = cloud.identity.access_token(member, scopes=tuple(request.scope), seconds=seconds)
    response = message(f"{V1}.GenerateAccessTokenResponse")(access_token=grant.token)
    response.expire_time.FromSeconds(int(grant.expires))
    return response


@API.rpc("GenerateIdToken")
async def generate_id_token(cloud: Cloud, call: Call, request: Message) -> Message:
    """An ID token of the account for an audience."""
    account = _authorized(cloud, call, request, "iam.serviceAccounts.getOpenIdToken")
    if not request.audience:
        raise invalid("Request contains an invalid argument: audience is required.")
    token = cloud.identity.id_token(
        account.email, account.unique_id, request.audience, with_email=request.include_email
    )
    return message(f"{V1}.GenerateIdTokenResponse")(token=token)


@API.rpc("SignJwt")
async def sign_jwt(cloud: Cloud, call: Call, request: Message) -> Message:
    """A JWT over the caller's claims, under the account's own key."""
    account = _authorized(cloud, call, request, "iam.serviceAccounts.signJwt")
    kid, signed = signed_jwt(cloud, account, request.payload)
    return message(f"{V1}.SignJwtResponse")(key_id=kid, signed_jwt=signed)


@API.rpc("SignBlob")
async def sign_blob(cloud: Cloud, call: Call, request: Message) -> Message:
    """A signature over the caller's bytes, under the account's own key."""
    account = _authorized(cloud, call, request, "iam.serviceAccounts.signBlob")
    kid, signed = cloud.identity.sign_as(account.unique_id, request.payload)
    return message(f"{V1}.SignBlobResponse")(key_id=kid, signed_blob=signed)


def signed_jwt(cloud: Cloud, account: Message, payload: str) -> tuple[str, str]:
    """The key's id and the JWT over claims that may be signed."""
    try:
        claims: Any = orjson.loads(payload)
    except orjson.JSONDecodeError:
        claims = None
    if not isinstance(claims, dict):
        raise invalid("The payload must be a JSON object with the claims.")
    if "exp" in claims:
        expires = claims["exp"]
        if isinstance(expires, bool) or not isinstance(expires, int):
            raise invalid("The claim exp must be an integer: seconds since 1970.")
        machine = cloud.now() - cloud.clock.offset  # who sets it reads the machine's clock, or the cloud's
        if expires < machine or expires > cloud.now() + MAX_EXPIRY:
            raise invalid("The claim exp must not be in the past, nor more than 12 hours in the future.")
    key = cloud.identity.account_key(account.unique_id).public_key()
    return key_id(key), cloud.identity.sign_jwt(claims, unique_id=account.unique_id)


def _authorized(cloud: Cloud, call: Call, request: Message, permission: str) -> Message:
    """The account, which exists and is not disabled, when the caller may have this of it."""
    caller = call.principal
    for delegate in request.delegates:
        name = f"projects/{cloud.project}/serviceAccounts/{delegate.rpartition('/')[2]}"
        _require(cloud, caller, "iam.serviceAccounts.implicitDelegation", name)
        caller = Principal(f"serviceAccount:{_active(cloud, name).email}")
    _require(cloud, caller, permission, cloud.canonical(request.name))
    return _active(cloud, request.name)


def _require(cloud: Cloud, caller: Principal, permission: str, name: str) -> None:
    cloud.iam.require(caller, permission, name, f"Permission '{permission}' denied on resource (or it may not exist).")


def _active(cloud: Cloud, name: str) -> Message:
    account: Message | None = cloud.iam.accounts.find(name)
    if account is None:
        raise not_found(f"Not found; Gaia id not found for email {name.rpartition('/')[2]}")
    if account.disabled:
        raise failed_precondition(f"The service account {account.email} is disabled.")
    return account
