"""Secrets are known by their form or their randomness; what is random and public is not taken for one."""

from __future__ import annotations

import base64
import hashlib

import pytest

from spec.secrets_in_text import spots

#: Made here, so that no file of ours holds what looks like a secret.
RANDOM = base64.urlsafe_b64encode(hashlib.sha512(b"test").digest()).decode().rstrip("=")
HEX = hashlib.sha256(b"test").hexdigest()

SECRETS = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "google api key": "key: AIza" + RANDOM[:35].replace("=", "a"),
    "github token": "token: ghp_" + "a1" * 18,
    "slack token": "SLACK: xoxb-" + "1234567890-abc",
    "telegram token": "BOT: 1234567890:" + RANDOM[:35],
    "password in a url": "url: postgresql://payer:" + "hunter22@db.example/payments",
    "signed token": "auth: eyJhbGciOiJI" + "Uz.eyJzdWIiOiIxMj." + RANDOM[:20],
    "named": "HOST_SIGNING_KEY: " + "tr0ub4dor3and1",
    "key in hex": "WALLET: 0x" + HEX,
    "random": "HOOK: " + RANDOM[:40],
}
PUBLIC = {
    "digest": f"image: us-docker.pkg.dev/p/r/i@sha256:{HEX}",
    "config digest": f"sluice:imageDigest: sha256:{HEX}",
    "address": 'USDT_CONTRACT: "0xdAC17F958D2ee523a2206206994597C13D831ec7"',
    "commit": "uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8",
    "pipeline's secret": "TOKEN: ${{ secrets.DEPLOY_TOKEN }}",
    "sealed": "secure: v1:" + RANDOM[:20] + ":" + RANDOM,
    "queue": "hint: gcsplit-hostpay-trigger-queue-of-the-staged-payout-2",
    "template": "url: postgresql://{user}@127.0.0.1:8586/payments",
    "schema": "# yaml-language-server: $schema=../../queue_configs/schema/service.json",
    "resource": "path: projects/example-prod/locations/us-central1/queues/order-queue",
    "provider": "workload_identity_provider: projects/123456789012/locations/global/workloadIdentityPools/ci",
    "name of a secret": "secrets: [TPS_HOSTPAY_SIGNING_KEY, HOST_WALLET_PRIVATE_KEY, CHANGENOW_API_KEY]",
    "host": "https://gchostpay-100000000003.us-central1.run.app/hostpay_webhook",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found(name: str) -> None:
    assert [spot.line for spot in spots(f"a: b\n{SECRETS[name]}\n")] == [2]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_is_left_alone(name: str) -> None:
    assert list(spots(PUBLIC[name])) == []


#: A stack's file as `pulumi stack init --secrets-provider gcpkms://...` and `config set --secret` leave it.
STACK = f"""\
secretsprovider: gcpkms://projects/sluice-prod/locations/us-central1/keyRings/pulumi/cryptoKeys/state
encryptedkey: {RANDOM}{RANDOM[:40]}+/==
encryptionsalt: v1:{RANDOM[:12]}=:v1:{RANDOM[20:36]}:{RANDOM[:40]}==
config:
  gcp:project: sluice-prod
  sluice:imageDigest: sha256:{HEX}
  cloudflare:apiToken:
    secure: v1:{RANDOM[:16]}:{RANDOM[16:60]}
  other:token: {{secure: "{RANDOM}+/=="}}
"""


def test_what_pulumi_has_encrypted_is_left_alone_and_nothing_else_of_the_file() -> None:
    assert list(spots(STACK)) == []
    plain = STACK + f"  other:hook: {RANDOM[:40]}  # not secure: at all\n"
    assert [spot.line for spot in spots(plain)] == [10]
    assert [spot.line for spot in spots(f"config:\n  encryptedkey: {RANDOM}\n")] == [2], "Pulumi writes it at the top"
