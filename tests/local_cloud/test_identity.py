"""Tokens that Google's own libraries verify, from keys that outlive a restart."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google.auth.transport.requests
import jwt
import pytest
from google.auth import jwt as google_jwt
from google.oauth2 import id_token as google_id_token
from google.oauth2 import service_account

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

# google.auth's constructors carry no types.
from_key: Any = service_account.Credentials.from_service_account_info
id_from_key: Any = service_account.IDTokenCredentials.from_service_account_info
self_signed_from_key: Any = google_jwt.Credentials.from_service_account_info

EMAIL = "gcsplit@sluice-local.iam.gserviceaccount.com"
AUDIENCE = "http://127.0.0.1:1/run/gcsplit"


@pytest.fixture
async def account(cloud: Cloud) -> Any:
    return cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())


@pins(
    "front_end",
    "Identity",
    "ID tokens: issuer, azp, sub, email, an hour, kid; keys as JWKS, PEM and discovery document",
    documented="OpenID Connect",
)
async def test_id_tokens_verify_with_google_auth_and_with_pyjwt(cloud: Cloud, account: Any) -> None:
    token = cloud.iam.accounts.id_token(EMAIL, AUDIENCE)
    request = google.auth.transport.requests.Request()
    url = f"{cloud.rest_url}/oauth2/v1/certs"
    claims = await asyncio.to_thread(google_id_token.verify_token, token, request, AUDIENCE, url)
    assert {k: claims[k] for k in ("iss", "aud", "azp", "sub", "email", "email_verified")} == {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "azp": account.unique_id,
        "sub": account.unique_id,
        "email": EMAIL,
        "email_verified": True,
    }
    assert claims["exp"] - claims["iat"] == 3600
    client = jwt.PyJWKClient(f"{cloud.rest_url}/oauth2/v3/certs")
    key = await asyncio.to_thread(client.get_signing_key_from_jwt, token)
    assert jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE)["email"] == EMAIL
    assert jwt.get_unverified_header(token)["kid"] == cloud.identity.key_id
    with pytest.raises(ValueError, match="audience"):
        await asyncio.to_thread(google_id_token.verify_token, token, request, "another", url)


@pins(
    "front_end",
    "Identity",
    "ID tokens are given again until 5 minutes before their end",
    observed="metadata server",
)
async def test_an_id_token_is_reused_until_shortly_before_its_end(cloud: Cloud, account: Any) -> None:
    first = cloud.iam.accounts.id_token(EMAIL, AUDIENCE)
    assert cloud.iam.accounts.id_token(EMAIL, AUDIENCE) == first
    assert cloud.iam.accounts.id_token(EMAIL, "other") != first
    await cloud.clock.advance(3400)
    second = cloud.iam.accounts.id_token(EMAIL, AUDIENCE)
    assert second != first
    assert cloud.identity.verify_id_token(first, AUDIENCE)
    await cloud.clock.advance(300)
    assert cloud.identity.verify_id_token(first, AUDIENCE) is None
    assert cloud.identity.verify_id_token(second, AUDIENCE)


async def test_altered_and_foreign_tokens_are_nothing(cloud: Cloud) -> None:
    token = cloud.identity.access_token("user:a@b.c").token
    assert cloud.identity.verify_access_token(token) is not None
    for bad in (token[:-3] + "abc", token + "x", "ya29.", "ya29.!!!", "", token.replace("ya29.", "")):
        assert cloud.identity.verify_access_token(bad) is None
    signed = cloud.identity.sign_jwt({"iss": "https://accounts.google.com", "exp": time.time() + 9, "aud": "a"})
    assert cloud.identity.verify_id_token(signed, "a")
    for bad in (signed[:-8] + "AAAAAAAA", "a.b.c", "", signed.rpartition(".")[0]):
        assert cloud.identity.verify_id_token(bad) is None


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "cloud")
    async with Running(settings) as running:
        running.cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
        tokens = (
            running.cloud.iam.accounts.id_token(EMAIL, AUDIENCE),
            running.cloud.identity.access_token("user:a@b.c").token,
        )
        keys = running.cloud.identity.jwks()
    async with Running(settings) as running:
        assert running.cloud.identity.jwks() == keys
        assert running.cloud.identity.verify_id_token(tokens[0], AUDIENCE)
        assert running.cloud.identity.verify_access_token(tokens[1])


async def test_the_discovery_document_leads_to_the_keys(cloud: Cloud, rest: Rest) -> None:
    document = await rest.ok("GET", "/.well-known/openid-configuration")
    assert document["issuer"] == "https://accounts.google.com"
    async with rest.session.get(document["jwks_uri"]) as response:
        assert (await response.json())["keys"][0]["kid"] == cloud.identity.key_id
        assert "max-age" in response.headers["cache-control"]


@pins(
    "front_end",
    "Identity",
    "generateAccessToken up to 3600 s, generateIdToken with and without e-mail, signJwt, signBlob",
    documented="iamcredentials v1",
)
async def test_generated_tokens_are_the_accounts(cloud: Cloud, rest: Rest, account: Any) -> None:
    base = f"/v1/projects/-/serviceAccounts/{EMAIL}"
    made = await rest.ok("POST", f"{base}:generateIdToken", {"audience": AUDIENCE, "includeEmail": True})
    claims = cloud.identity.verify_id_token(made["token"], AUDIENCE)
    assert claims is not None
    assert claims["email"] == EMAIL
    made = await rest.ok("POST", f"{base}:generateIdToken", {"audience": AUDIENCE})
    assert "email" not in (cloud.identity.verify_id_token(made["token"]) or {"email": 1})
    made = await rest.ok("POST", f"{base}:generateAccessToken", {"scope": ["s"], "lifetime": "300s"})
    found = cloud.identity.verify_access_token(made["accessToken"])
    assert found is not None
    assert found.member == f"serviceAccount:{EMAIL}"
    assert abs(found.expires - cloud.now() - 300) < 5
    assert (await rest("POST", f"{base}:generateAccessToken", {"scope": []}))[0] == 400
    assert (await rest("POST", f"{base}:generateAccessToken", {"scope": ["s"], "lifetime": "7200s"}))[0] == 400
    info = await rest.ok("GET", f"/tokeninfo?access_token={made['accessToken']}")
    assert (info["email"], info["scope"]) == (EMAIL, "s")
    assert (await rest("GET", "/tokeninfo?access_token=nonsense"))[0] == 400
    signed = await rest.ok("POST", f"{base}:signJwt", {"payload": '{"a": 1}'})
    assert jwt.decode(signed["signedJwt"], options={"verify_signature": False}) == {"a": 1}
    status, body = await rest("POST", "/v1/projects/-/serviceAccounts/no@x.y:generateIdToken", {"audience": "a"})
    assert (status, body["error"]["message"]) == (404, "Not found; Gaia id not found for email no@x.y")


@pins(
    "front_end",
    "Identity",
    "Keys of accounts, JWT bearer exchange, self-signed JWTs as access tokens",
    documented="RFC 7523, AIP-4111",
)
async def test_a_downloaded_key_gets_tokens_as_google_auth_asks_for_them(
    cloud: Cloud, rest: Rest, account: Any, as_account: Callable[[str], Rest]
) -> None:
    import base64
    import json

    made = await rest.ok("POST", f"/v1/projects/-/serviceAccounts/{EMAIL}/keys")
    info = json.loads(base64.b64decode(made["privateKeyData"]))
    credentials = from_key(info, scopes=["s"])
    await asyncio.to_thread(credentials.refresh, google.auth.transport.requests.Request())
    found = cloud.identity.verify_access_token(credentials.token)
    assert found is not None
    assert found.member == f"serviceAccount:{EMAIL}"
    id_credentials = id_from_key(info, target_audience=AUDIENCE)
    await asyncio.to_thread(id_credentials.refresh, google.auth.transport.requests.Request())
    assert cloud.identity.verify_id_token(id_credentials.token, AUDIENCE)
    self_signed = self_signed_from_key(info, audience="https://iam.googleapis.com/")
    self_signed.refresh(None)
    service = Rest(rest.session, f"http://127.0.0.1:{cloud.ports['service_rest']}", self_signed.token.decode())
    status, body = await service("GET", "/v1/projects/sluice-local/serviceAccounts")
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
    key = made["name"].partition("/serviceAccounts/")[2]
    await rest.ok("DELETE", f"/v1/projects/-/serviceAccounts/{key}")
    status, _ = await service("GET", "/v1/projects/sluice-local/serviceAccounts")
    assert status == 401
