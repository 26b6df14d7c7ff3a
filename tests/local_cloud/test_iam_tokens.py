"""Acting as somebody else: impersonation with google.auth, chains of delegates, and everything that ends with time."""

import asyncio
import base64
import datetime
import itertools
import json
from collections.abc import Callable
from typing import Any

import google.auth.transport.requests
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import impersonated_credentials
from google.oauth2 import credentials as oauth2_credentials

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.identity import key_id
from local_cloud.registry import Principal
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PROJECT = "projects/sluice-local"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
DAY = 86400

Impersonated: Any = impersonated_credentials.Credentials
UserCredentials: Any = oauth2_credentials.Credentials
Transport: Any = google.auth.transport.requests.Request


def email(name: str) -> str:
    return f"{name}@sluice-local.iam.gserviceaccount.com"


def account(cloud: Cloud, name: str) -> Any:
    return cloud.iam.accounts.create(name, message("google.iam.admin.v1.ServiceAccount")())


def let(cloud: Cloud, name: str, role: str, *callers: str) -> None:
    """`callers` have a role on the account `name`."""
    members = [f"serviceAccount:{email(caller)}" for caller in callers]
    policy = message("google.iam.v1.Policy")(bindings=[{"role": role, "members": members}])
    cloud.iam.set_policy(f"{PROJECT}/serviceAccounts/{email(name)}", policy)


@pins(
    "iam",
    "Accounts, roles, project, services",
    "google.auth's impersonated credentials get tokens of the account they stand for",
    documented="Service account impersonation",
)
async def test_google_auth_impersonates_an_account(cloud: Cloud) -> None:
    account(cloud, "caller-account")
    account(cloud, "target-account")
    source = UserCredentials(cloud.identity.access_token(f"serviceAccount:{email('caller-account')}").token)
    base = f"http://127.0.0.1:{cloud.ports['service_rest']}/v1/projects/-/serviceAccounts"
    credentials = Impersonated(
        source_credentials=source,
        target_principal=email("target-account"),
        target_scopes=SCOPES,
        lifetime=900,
        iam_endpoint_override=f"{base}/{email('target-account')}:generateAccessToken",
    )
    with pytest.raises(google.auth.exceptions.RefreshError):
        await asyncio.to_thread(credentials.refresh, Transport())
    let(cloud, "target-account", "roles/iam.serviceAccountTokenCreator", "caller-account")
    await asyncio.to_thread(credentials.refresh, Transport())
    found = cloud.identity.verify_access_token(credentials.token)
    assert found is not None
    assert found.member == f"serviceAccount:{email('target-account')}"
    assert found.scopes == tuple(SCOPES)


@pins(
    "iam",
    "Accounts, roles, project, services",
    "A chain of delegates: implicitDelegation from each to the next, and what is asked from the last to the account",
    documented="Create short-lived credentials, delegated",
)
async def test_every_link_of_a_chain_of_delegates_is_asked_for(
    cloud: Cloud, rest: Rest, as_account: Callable[[str], Rest]
) -> None:
    caller = as_account("caller-account")
    for name in ("first-delegate", "second-delegate", "target-account"):
        account(cloud, name)
    path = f"/v1/projects/-/serviceAccounts/{email('target-account')}:generateAccessToken"
    delegates = [f"projects/-/serviceAccounts/{email(n)}" for n in ("first-delegate", "second-delegate")]
    body = {"scope": SCOPES, "delegates": delegates}
    chain = ("caller-account", "first-delegate", "second-delegate", "target-account")
    for who, to in itertools.pairwise(chain):
        status, answer = await caller("POST", path, body)
        assert status == 403, to
        wanted = "getAccessToken" if to == "target-account" else "implicitDelegation"
        assert answer["error"]["details"][0]["metadata"]["permission"] == f"iam.serviceAccounts.{wanted}"
        let(cloud, to, "roles/iam.serviceAccountTokenCreator", who)
    token = (await caller.ok("POST", path, body))["accessToken"]
    found = cloud.identity.verify_access_token(token)
    assert found is not None
    assert found.member == f"serviceAccount:{email('target-account')}"
    assert (await caller("POST", path, {"scope": SCOPES}))[0] == 403
    await rest.ok("POST", f"/v1/{PROJECT}/serviceAccounts/{email('first-delegate')}:disable", {})
    assert (await caller("POST", path, body))[0] == 400


@pins(
    "front_end",
    "Identity",
    "What an account signs is no ID token: signJwt and signBlob have a key of the account's own",
    documented="Google-managed key pairs",
)
async def test_a_signed_jwt_cannot_pass_for_an_id_token_nor_for_another_account(cloud: Cloud, rest: Rest) -> None:
    mine = account(cloud, "signing-account")
    account(cloud, "other-account")
    now = int(cloud.now())
    path = f"/v1/projects/-/serviceAccounts/{email('signing-account')}:signJwt"

    async def signed(**claims: Any) -> str:
        payload = json.dumps({"iat": now, "exp": now + 600, **claims})
        return str((await rest.ok("POST", path, {"payload": payload}))["signedJwt"])

    forged = await signed(iss="https://accounts.google.com", aud="a", email=email("other-account"), sub="1")
    assert cloud.identity.verify_id_token(forged) is None
    grant = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="
    for issuer, status in ((email("other-account"), 400), (email("signing-account"), 200)):
        data = (grant + await signed(iss=issuer, scope=SCOPES[0])).encode()
        assert (await rest("POST", "/token", data=data))[0] == status, issuer
    assert jwt.get_unverified_header(forged)["kid"] == key_id(cloud.identity.account_key(mine.unique_id).public_key())
    keys = await rest.ok("GET", f"/service_accounts/v1/jwk/{email('signing-account')}")
    assert [key["kid"] for key in keys["keys"]] == [jwt.get_unverified_header(forged)["kid"]]
    assert (await rest("GET", "/service_accounts/v1/jwk/no@no.no"))[0] == 404


@pins(
    "front_end",
    "Identity",
    "Access tokens, ID tokens, assertions, uploaded keys, conditions, spreading policies and secrets end or begin by "
    "the moved clock together",
    ours=True,
)
async def test_a_day_later_everything_that_ends_with_time_has_ended(
    cloud: Cloud, rest: Rest, as_account: Callable[[str], Rest]
) -> None:
    caller = as_account("caller-account")
    target = account(cloud, "target-account")
    role = "roles/iam.serviceAccountTokenCreator"
    let(cloud, "target-account", role, "caller-account")
    id_token = cloud.identity.id_token(target.email, target.unique_id, "aud")
    secrets = f"/v1/{PROJECT}/secrets"
    await rest.ok("POST", f"{secrets}?secretId=SHORT", {"replication": {"automatic": {}}, "ttl": f"{DAY - 60}s"})
    key, certificate = certified(cloud.now() - 60, cloud.now() + DAY - 60)
    keys = f"/v1/{PROJECT}/serviceAccounts/{target.email}/keys"
    made = await rest.ok("POST", f"{keys}:upload", {"publicKeyData": base64.b64encode(certificate).decode()})
    await rest.ok("POST", "/_sluice/iam/delay", {"seconds": 420})
    cloud.iam.set_policy(PROJECT, message("google.iam.v1.Policy")(bindings=[{"role": role, "members": ["allUsers"]}]))

    async def assertion_is_taken() -> bool:
        now = int(cloud.now())
        claims = {"iss": target.email, "iat": now, "exp": now + 600, "scope": SCOPES[0]}
        signed = jwt.encode(claims, key, algorithm="RS256", headers={"kid": made["name"].rpartition("/")[2]})
        data = f"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={signed}".encode()
        return (await rest("POST", "/token", data=data))[0] == 200

    async def standing() -> dict[str, bool]:
        path = f"/v1/{PROJECT}/serviceAccounts/{target.email}:generateIdToken"
        stranger = Principal(f"serviceAccount:{email('stranger')}")
        return {
            "access token": (await caller("POST", path, {"audience": "a"}))[0] == 200,
            "id token": cloud.identity.verify_id_token(id_token) is not None,
            "secret": (await rest("GET", f"{secrets}/SHORT"))[0] == 200,
            "uploaded key": await assertion_is_taken(),
            "old policy": not cloud.iam.granted(stranger, ["iam.serviceAccounts.signBlob"], PROJECT),
        }

    assert all((await standing()).values()), await standing()
    await cloud.clock.advance(DAY)
    assert not any((await standing()).values()), await standing()


def certified(start: float, end: float) -> tuple[bytes, bytes]:
    """A private key in PEM, and a certificate over it that is valid for a while."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "unused")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime.fromtimestamp(start, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(end, datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, built.public_bytes(Encoding.PEM)
