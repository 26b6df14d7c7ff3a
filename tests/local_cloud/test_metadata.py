"""google.auth, unmodified, finds its account at the metadata server."""

import asyncio
import json
import os
import sys

import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

EMAIL = "gcsplit@sluice-local.iam.gserviceaccount.com"

PROGRAM = """
import json, google.auth, google.auth.transport.requests as transport
from google.auth import compute_engine
from google.oauth2 import id_token
request = transport.Request()
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
assert isinstance(credentials, compute_engine.Credentials), credentials
credentials.refresh(request)
ids = compute_engine.IDTokenCredentials(request, "http://audience", use_metadata_identity_endpoint=True)
ids.refresh(request)
print(json.dumps({
    "project": project,
    "email": credentials.service_account_email,
    "universe": credentials.universe_domain,
    "token": credentials.token,
    "id_token": ids.token,
    "fetched": id_token.fetch_id_token(request, "http://other"),
}))
"""


@pytest.fixture
async def host(cloud: Cloud) -> str:
    cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
    return cloud.metadata.register(EMAIL)


@pins(
    "front_end",
    "Identity",
    "Metadata server: ids, region, zone, account, scopes, tokens, identity, universe; Metadata-Flavor asked for",
    documented="Cloud Run container contract",
)
async def test_google_auth_gets_credentials_and_id_tokens(cloud: Cloud, host: str) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        env={**clean, "HOME": "/nonexistent", **cloud.metadata.environment(EMAIL)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert (seen["project"], seen["email"], seen["universe"]) == ("sluice-local", EMAIL, "googleapis.com")
    token = cloud.identity.verify_access_token(seen["token"])
    assert token is not None
    assert token.member == f"serviceAccount:{EMAIL}"
    assert cloud.identity.verify_id_token(seen["id_token"], "http://audience")
    claims = cloud.identity.verify_id_token(seen["fetched"], "http://other")
    assert claims is not None
    assert claims["email"] == EMAIL


async def test_values_are_as_on_google(cloud: Cloud, host: str, rest: Rest) -> None:
    async def get(path: str, flavor: str = "Google") -> tuple[int, str, str]:
        url = f"http://{host}/computeMetadata/v1/{path}"
        async with rest.session.get(url, headers={"Metadata-Flavor": flavor}) as response:
            return response.status, await response.text(), response.headers.get("Metadata-Flavor", "")

    assert await get("project/project-id") == (200, "sluice-local", "Google")
    assert (await get("project/numeric-project-id"))[1] == "123456789012"
    assert (await get("instance/region"))[1] == "projects/123456789012/regions/us-central1"
    assert (await get("instance/zone"))[1] == "projects/123456789012/zones/us-central1-1"
    assert (await get("instance/service-accounts/default/email"))[1] == EMAIL
    assert (await get(f"instance/service-accounts/{EMAIL}/aliases"))[1] == "default"
    assert (await get("instance/service-accounts/"))[1] == f"default/\n{EMAIL}/\n"
    assert json.loads((await get("project/?recursive=true"))[1]) == {
        "projectId": "sluice-local",
        "numericProjectId": "123456789012",
    }
    assert (await get("project/nothing"))[0] == 404
    assert (await get("project/project-id", flavor="no"))[0] == 403
    assert (await get("instance/service-accounts/default/identity"))[0] == 400
    assert (await get("instance/service-accounts/other@x.y/token"))[0] == 404
    async with rest.session.get(f"http://{host.rpartition('/')[0]}/unknown/computeMetadata/v1/") as response:
        assert response.status == 404


async def test_an_account_that_is_deleted_gets_no_more_tokens(cloud: Cloud, host: str, rest: Rest) -> None:
    cloud.iam.accounts.delete(EMAIL)
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    async with rest.session.get(url, headers={"Metadata-Flavor": "Google"}) as response:
        assert response.status == 404


@pins(
    "front_end",
    "Identity",
    "An instance's metadata address holds a secret key instead of being the same everywhere",
    ours=True,
)
async def test_an_accounts_host_stays_the_same(cloud: Cloud, host: str) -> None:
    assert cloud.metadata.register(EMAIL) == host
    assert cloud.metadata.register("other@x.y") != host
