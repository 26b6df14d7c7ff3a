"""Workload identity federation as google-auth does it: a token of somebody's issuer becomes a service account's."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, identity_pool
from google.auth.transport.requests import Request
from jwt.algorithms import RSAAlgorithm

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.conftest import Rest

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWK = json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k1", "alg": "RS256"}
ISSUER = "https://token.actions.example.com"
ROOT = "/v1/projects/sluice-local/locations/global/workloadIdentityPools"
MAPPING = {
    "google.subject": "assertion.sub",
    "attribute.repository": "assertion.repository",
    "google.groups": "assertion.teams",
}


def token(audience: str, *, key: Any = KEY, **claims: Any) -> str:
    now = int(time.time())
    made: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience,
        "sub": "repo:o/r:main",
        "repository": "o/r",
        "teams": ["pay"],
    }
    made |= {"iat": now, "exp": now + 600}
    return jwt.encode(made | claims, key, algorithm="RS256", headers={"kid": "k1"})


class Federation:
    """A pool with a provider in a cloud, and a service account behind it."""

    def __init__(self, place: Place, call: Callable[..., Any], pool: str, **provider: Any) -> None:
        assert place.cloud is not None
        self.place, self.call, self.cloud = place, call, place.cloud
        pool = f"{pool[:20]}-{uuid.uuid4().hex[:8]}"
        self.id = pool
        call("POST", f"{ROOT}?workloadIdentityPoolId={pool}", {"displayName": "CI"})
        body = {"attributeMapping": MAPPING, "oidc": {"issuerUri": ISSUER, "jwksJson": json.dumps({"keys": [JWK]})}}
        answer = call("POST", f"{ROOT}/{pool}/providers?workloadIdentityPoolProviderId=github", body | provider)
        self.name = str(answer["response"]["name"])
        self.pool = self.name.partition("/providers/")[0]
        self.email = f"ci@{self.cloud.iam.accounts.domain}"

    def credentials(self, subject_token: str, account: str = "") -> Any:
        base = self.place.rest
        made = identity_pool.Credentials(  # type: ignore[no-untyped-call]
            audience=f"//iam.googleapis.com/{self.name}",
            subject_token_type="urn:ietf:params:oauth:token-type:jwt",
            token_url=f"{base}/v1/token",
            subject_token_supplier=Supplier(subject_token),
            service_account_impersonation_url=(
                f"{base}/v1/projects/-/serviceAccounts/{account}:generateAccessToken" if account else None
            ),
            scopes=["https://www.googleapis.com/auth/cloud-platform"],
        )
        made.refresh(Request())  # type: ignore[no-untyped-call]
        return made


class Supplier(identity_pool.SubjectTokenSupplier):
    def __init__(self, given: str) -> None:
        self.given = given

    def get_subject_token(self, context: Any, request: Any) -> str:
        return self.given


@pytest.fixture
def call(place: Place) -> Callable[..., Any]:
    import requests

    def made(verb: str, path: str, body: Any = None, *, ok: bool = True, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.request(verb, place.rest + path, json=body, headers=headers, timeout=30)
        assert answer.ok is ok, answer.text
        return answer.json()

    return made


@pytest.fixture
def account(place: Place) -> str:
    async def make(cloud: Cloud) -> str:
        from local_cloud.descriptors import message

        email = f"ci@{cloud.iam.accounts.domain}"
        if cloud.iam.accounts.find(email) is None:
            cloud.iam.accounts.create("ci", message("google.iam.admin.v1.ServiceAccount")())
        return email

    return place.do(make)


def bind(call: Callable[..., Any], account: str, member: str) -> None:
    path = f"/v1/projects/sluice-local/serviceAccounts/{account}"
    bindings = [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]
    call("POST", f"{path}:setIamPolicy", {"policy": {"bindings": bindings}})


@pins(
    "infrastructure",
    "Workload identity",
    "A token of the provider's issuer becomes an access token, and impersonates a service account where its principal "
    "or principal set may",
    documented="Workload identity federation",
)
@pytest.mark.parametrize(
    ("pool", "member"),
    [
        ("by-subject", "principal:{at}/subject/repo:o/r:main"),
        ("by-attribute", "principalSet:{at}/attribute.repository/o/r"),
        ("by-group", "principalSet:{at}/group/pay"),
        ("by-pool", "principalSet:{at}/*"),
    ],
)
def test_a_foreign_token_impersonates_an_account(
    place: Place, call: Callable[..., Any], account: str, pool: str, member: str
) -> None:
    federation = Federation(place, call, pool)
    at = f"//iam.googleapis.com/{federation.pool}"
    subject = token(f"https://iam.googleapis.com/{federation.name}")
    bind(call, account, member.format(at=f"{at}-other"))
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        federation.credentials(subject, account)
    bind(call, account, member.format(at=at))
    credentials = federation.credentials(subject, account)
    found = federation.cloud.identity.verify_access_token(credentials.token)
    assert found is not None
    assert found.member == f"serviceAccount:{account}"


@pins(
    "infrastructure",
    "Workload identity",
    "What is wrong with a token is said",
    observed="public issues",
)
@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://other.example.com"}, "The issuer in ID Token https://other.example.com does not match"),
        ({"aud": "me"}, r"The audience in ID Token \[me\] does not match the expected audience"),
        ({"iat": 1_600_000_000, "exp": 1_600_000_600}, "is stale to sign-in"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_600}, "is not valid yet"),
        ({"exp": 4_000_000_000}, "not be valid for more than 24 hours"),
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "Invalid JWT Signature"),
        ({"repository": "o/secret"}, "rejected by the attribute condition"),
        ({"sub": ""}, r"google\.subject must be a string of 1 to 127 bytes"),
    ],
)
def test_a_token_that_does_not_fit_is_refused(
    place: Place, call: Callable[..., Any], claims: dict[str, Any], words: str
) -> None:
    federation = Federation(place, call, "refused", attributeCondition="attribute.repository == 'o/r'")
    with pytest.raises(exceptions.OAuthError, match=words):
        federation.credentials(token(f"//iam.googleapis.com/{federation.name}", **claims))


def test_a_provider_that_is_disabled_or_deleted_exchanges_nothing(place: Place, call: Callable[..., Any]) -> None:
    federation = Federation(place, call, "turned-off")
    subject = token(f"//iam.googleapis.com/{federation.name}")
    federation.credentials(subject)
    path = f"{ROOT}/{federation.id}/providers/github"
    call("PATCH", f"{path}?updateMask=disabled", {"disabled": True})
    refused = partial(pytest.raises, exceptions.OAuthError, match='indicated by the "audience" parameters is invalid')
    with refused():
        federation.credentials(subject)
    call("PATCH", f"{path}?updateMask=disabled", {})
    federation.credentials(subject)
    call("DELETE", f"{ROOT}/{federation.id}")
    with refused():
        federation.credentials(subject)


@pytest.fixture
def issuer() -> Iterator[str]:
    """An issuer on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = f"http://{self.headers['host']}"
            found = {"keys": [JWK]} if self.path == "/keys" else {"issuer": at, "jwks_uri": f"{at}/keys"}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pins("infrastructure", "Workload identity", "An issuer on loopback is asked for its keys over plain HTTP", ours=True)
def test_the_keys_of_an_issuer_are_fetched(place: Place, call: Callable[..., Any], issuer: str) -> None:
    federation = Federation(place, call, "discovered", oidc={"issuerUri": issuer})
    federation.credentials(token(f"//iam.googleapis.com/{federation.name}", iss=issuer))


@pins(
    "infrastructure",
    "Workload identity",
    "Pools and providers are deleted softly: for 30 days they can be had back and their ids are taken",
    documented="workloadIdentityPools",
)
async def test_a_deleted_pool_can_be_had_back_for_30_days(rest: Rest, cloud: Cloud) -> None:
    made = await rest.ok("POST", f"{ROOT}?workloadIdentityPoolId=ci-pool", {"description": "d", "disabled": True})
    name = f"projects/{cloud.settings.project_number}/locations/global/workloadIdentityPools/ci-pool"
    shown = {"name": name, "description": "d", "disabled": True, "state": "ACTIVE"}
    assert await rest.ok("GET", f"{ROOT}/ci-pool") == shown
    assert (await rest.ok("GET", f"/v1/{made['name']}"))["done"]
    await rest.ok("DELETE", f"{ROOT}/ci-pool")
    assert (await rest.ok("GET", f"{ROOT}/ci-pool"))["state"] == "DELETED"
    assert await rest.ok("GET", ROOT) == {}
    assert (await rest("POST", f"{ROOT}?workloadIdentityPoolId=ci-pool", {}))[0] == 409
    await rest.ok("POST", f"{ROOT}/ci-pool:undelete", {})
    assert await rest.ok("GET", f"{ROOT}/ci-pool") == shown
    await rest.ok("DELETE", f"{ROOT}/ci-pool")
    await cloud.clock.advance(31 * 86400)
    assert (await rest("GET", f"{ROOT}/ci-pool"))[0] == 404
    await rest.ok("POST", f"{ROOT}?workloadIdentityPoolId=ci-pool", {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"attributeMapping": {}},
        {"attributeMapping": {"google.subject": "assertion.sub +"}},
        {"attributeMapping": {"google.subject": "assertion.sub", "attribute.Upper": "assertion.sub"}},
        {"attributeCondition": "assertion.sub.size()"},
        {"oidc": {"issuerUri": "http://issuer.example.com"}},
        {"oidc": {"issuerUri": ISSUER, "jwksJson": "{}"}},
        {"saml": {"idpMetadataXml": "<x/>"}},
    ],
)
async def test_a_provider_that_could_not_work_is_refused(rest: Rest, wrong: dict[str, Any]) -> None:
    await rest.ok("POST", f"{ROOT}?workloadIdentityPoolId=ci-pool", {})
    body = {"attributeMapping": {"google.subject": "assertion.sub"}, "oidc": {"issuerUri": ISSUER}} | wrong
    path = f"{ROOT}/ci-pool/providers?workloadIdentityPoolProviderId=github"
    assert (await rest("POST", path, body))[0] == 400
    assert await rest.ok("GET", f"{ROOT}/ci-pool/providers") == {}


async def test_a_federated_identity_is_not_among_all_authenticated_users(cloud: Cloud) -> None:
    from local_cloud.iam.members import names_of
    from local_cloud.registry import Principal

    assert names_of(Principal("principal://x", sets=("principalSet://y",))) == {
        "principal://x",
        "principalSet://y",
        "allUsers",
    }


def let_in(federation: Federation, *, upload: bool = False) -> str:
    """A bucket, named like the pool, of federated identities with the repository o/r alone; its address."""
    call, bucket, member = (
        federation.call,
        federation.id,
        f"principalSet://iam.googleapis.com/{federation.pool}/attribute.repository/o/r",
    )
    uniform = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
    call("POST", "/storage/v1/b?project=sluice-local", {"name": bucket} | uniform)
    role = f"roles/storage.object{'Admin' if upload else 'Viewer'}"
    call("PUT", f"/storage/v1/b/{bucket}/iam", {"bindings": [{"role": role, "members": [member]}]})
    return f"/storage/v1/b/{bucket}/o"


@pins(
    "infrastructure",
    "Workload identity",
    "The tokens of a pool that is disabled or deleted are refused, and taken again when it is back; a disabled "
    "provider only gives no new ones",
    documented="workloadIdentityPools: disabled",
)
def test_the_tokens_of_a_pool_live_as_it_does(place: Place, call: Callable[..., Any]) -> None:
    federation = Federation(place, call, "pool-off")
    objects = let_in(federation)
    given = federation.credentials(token(f"//iam.googleapis.com/{federation.name}")).token
    pool = f"{ROOT}/{federation.id}"
    call("PATCH", f"{pool}/providers/github?updateMask=disabled", {"disabled": True})
    call("GET", objects, token=given)
    for off, on in (
        (("PATCH", f"{pool}?updateMask=disabled", {"disabled": True}), ("PATCH", f"{pool}?updateMask=disabled", {})),
        (("DELETE", pool), ("POST", f"{pool}:undelete", {})),
    ):
        call(*off)
        refused = call("GET", objects, token=given, ok=False)["error"]
        assert (refused["code"], refused["errors"][0]["reason"]) == (401, "authError")
        call(*on)
        call("GET", objects, token=given)


@pins(
    "infrastructure",
    "Workload identity",
    "A principal set may upload in pieces, and push with the token that the registry gives docker",
    documented="Workload identity federation: principal sets",
)
def test_a_principal_set_is_known_all_the_way(place: Place, call: Callable[..., Any]) -> None:
    import requests

    federation = Federation(place, call, "sets")
    let_in(federation, upload=True)
    given = federation.credentials(token(f"//iam.googleapis.com/{federation.name}")).token
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    bearer = {"Authorization": f"Bearer {given}"}
    start = f"{door}/upload/storage/v1/b/{federation.id}/o?uploadType=resumable&name=x"
    session = requests.post(start, json={}, headers=bearer, timeout=30).headers["location"]
    told = {"Content-Range": "bytes 0-2/3"}
    assert requests.put(session, data=b"abc", headers=told, timeout=30).status_code == 200

    home = "/v1/projects/sluice-local/locations/us-central1/repositories"
    call("POST", f"{home}?repositoryId={federation.id}", {"format": "DOCKER"})
    member = f"principalSet://iam.googleapis.com/{federation.pool}/attribute.repository/o/r"
    bindings = [{"role": "roles/artifactregistry.writer", "members": [member]}]
    call("POST", f"{home}/{federation.id}:setIamPolicy", {"policy": {"bindings": bindings}})
    answer = requests.get(f"{door}/v2/token", auth=("oauth2accesstoken", given), timeout=30).json()
    docker = {"Authorization": f"Bearer {answer['token']}"}
    push = f"{door}/v2/sluice-local/{federation.id}/image/blobs/uploads/"
    assert requests.post(push, headers=docker, timeout=30).status_code == 202
