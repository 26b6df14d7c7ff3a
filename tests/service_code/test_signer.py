"""The signer: its transactions are those of eth-account, its limits hold, and the key in KMS signs the same way."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from service_code.kit import erc20
from service_code.kit.kms import ORDER, KmsSigner
from service_code.kit.outside import Outside
from service_code.kit.signer import Limits, LocalSigner, SigningRefusedError, TokenLimits, Transfer
from tests.service_code.outer import serve
from tests.service_code.world import StaticAccess

TOKEN, SOMEBODY = "0x" + "Ef" * 20, "0x" + "12" * 20
TOKENS = {TOKEN.lower(): TokenLimits(currency="usdt", per_payment=500, per_day=900)}
LIMITS = Limits(per_payment=10**19, per_day=10**20, max_fee=10**12, per_gas=10**17, tokens=TOKENS)
KEY = "0x" + "4c" * 32


def transfer(**more: Any) -> Transfer:
    fields: dict[str, Any] = {
        "chain_id": 31337,
        "nonce": 3,
        "to": "0x" + "ab" * 20,
        "value": 5,
        "gas_limit": 21_000,
        "max_fee": 10**10,
        "max_priority_fee": 10**9,
    }
    return Transfer(**{**fields, **more})


def by_eth_account(key: str, one: Transfer) -> tuple[str, bytes]:
    from eth_utils.address import to_checksum_address

    fields = {
        "type": 2,
        "chainId": one.chain_id,
        "nonce": one.nonce,
        "to": to_checksum_address(one.to),
        "value": one.value,
        "gas": one.gas_limit,
        "maxFeePerGas": one.max_fee,
        "maxPriorityFeePerGas": one.max_priority_fee,
        "data": one.data,
    }
    signed = Account.sign_transaction(fields, key)
    return "0x" + bytes(signed.hash).hex(), bytes(signed.raw_transaction)


@given(st.integers(0, 2**63), st.integers(0, 10**19), st.binary(min_size=20, max_size=20))
async def test_a_signed_transfer_is_the_one_that_eth_account_makes(nonce: int, value: int, to: bytes) -> None:
    one = transfer(nonce=nonce, value=value, to="0x" + to.hex())
    signed = await LocalSigner(KEY, 31337, LIMITS).sign(one, spent_today=0)
    assert (signed.tx_hash, signed.raw) == by_eth_account(KEY, one)


@pytest.mark.parametrize(
    ("change", "spent", "code"),
    [
        ({"chain_id": 1}, 0, "WRONG_CHAIN"),
        ({"value": 10**19 + 1}, 0, "OVER_PAYMENT_LIMIT"),
        ({"value": 10**19}, 10**20 - 10**19 + 1, "OVER_DAY_LIMIT"),
        ({"value": 10**19}, 10**20 - 10**19, "OVER_DAY_LIMIT"),
        ({"gas_limit": 10**7 + 1}, 0, "OVER_GAS_LIMIT"),
        ({"max_fee": 10**12 + 1}, 0, "OVER_FEE_LIMIT"),
        ({"max_priority_fee": 10**10 + 1}, 0, "OVER_FEE_LIMIT"),
    ],
)
async def test_what_exceeds_a_limit_is_not_signed(change: dict[str, Any], spent: int, code: str) -> None:
    signer = LocalSigner(KEY, 31337, LIMITS)
    with pytest.raises(SigningRefusedError) as refused:
        await signer.sign(transfer(**change), spent_today=spent)
    assert refused.value.code == code
    gas = 21_000 * 10**10
    assert await signer.sign(transfer(value=10**19), spent_today=10**20 - 10**19 - gas)
    assert await signer.sign(transfer(gas_limit=10**7), spent_today=0)


def call(data: str = erc20.transfer(SOMEBODY, 500), **more: Any) -> Transfer:
    return transfer(**{"to": TOKEN, "value": 0, "gas_limit": 90_000, "data": data, **more})


@pytest.mark.parametrize(
    ("change", "spent", "code"),
    [
        ({"data": erc20.transfer(SOMEBODY, 501)}, 0, "OVER_PAYMENT_LIMIT"),
        ({"data": erc20.transfer(SOMEBODY, 2**256 - 1)}, 0, "OVER_PAYMENT_LIMIT"),
        ({}, 401, "OVER_DAY_LIMIT"),
        ({"to": SOMEBODY}, 0, "UNKNOWN_CALL"),
        ({"value": 1}, 0, "UNKNOWN_CALL"),
        ({"data": "0x095ea7b3" + erc20.transfer(SOMEBODY, 1)[10:]}, 0, "UNKNOWN_CALL"),
        ({"data": erc20.transfer(SOMEBODY, 1) + "00"}, 0, "UNKNOWN_CALL"),
        ({"data": erc20.transfer(SOMEBODY, 1)[:-2]}, 0, "UNKNOWN_CALL"),
        ({"data": erc20.TRANSFER + "1" + erc20.transfer(SOMEBODY, 1)[11:]}, 0, "UNKNOWN_CALL"),
        ({"data": ""}, 0, "UNKNOWN_CALL"),
        ({"data": "0xa9059cbb"}, 0, "UNKNOWN_CALL"),
        ({"gas_limit": 10**7 + 1}, 0, "OVER_GAS_LIMIT"),
    ],
)
async def test_of_calls_a_tokens_transfer_within_its_limits_alone_is_signed(
    change: dict[str, Any], spent: int, code: str
) -> None:
    signer = LocalSigner(KEY, 31337, LIMITS)
    with pytest.raises(SigningRefusedError) as refused:
        await signer.sign(call(**change), spent_today=0, tokens_today=spent)
    assert refused.value.code == code
    signed = await signer.sign(call(), spent_today=0, tokens_today=400)
    assert (signed.tx_hash, signed.raw) == by_eth_account(KEY, call())


@pytest.mark.parametrize("key", ["", "0x12", "zz" * 32, "0" * 64])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SigningRefusedError) as refused:
        LocalSigner(key, 1, LIMITS)
    assert not key or key not in str(refused.value)


class Kms:
    """The two calls of Cloud KMS that signing needs; it answers with a high s, as KMS may."""

    def __init__(self, secret: int) -> None:
        self.key = ec.derive_private_key(secret, ec.SECP256K1())
        self.signs_with = self.key

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [web.get("/v1/{key:.*}/publicKey", self._public), web.post("/v1/{key:.*}:asymmetricSign", self._sign)]
        )
        return app

    async def _public(self, _: web.Request) -> web.Response:
        encoding = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return web.json_response({"pem": self.key.public_key().public_bytes(*encoding).decode()})

    async def _sign(self, request: web.Request) -> web.Response:
        digest = base64.b64decode((await request.json())["digest"]["sha256"])
        r, s = decode_dss_signature(self.signs_with.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        der = encode_dss_signature(r, max(s, ORDER - s))
        return web.json_response({"signature": base64.b64encode(der).decode()})


async def test_a_key_in_kms_signs_what_the_chain_takes_for_the_wallets() -> None:
    secret = int.from_bytes(hashlib.sha256(b"kms").digest(), "big") % ORDER
    kms, outside = Kms(secret), Outside()
    await outside.open()
    async with serve(kms.app()) as port:
        signer = KmsSigner(
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", 31337, LIMITS,
            outside=outside, access=StaticAccess(), endpoint=f"http://127.0.0.1:{port}",
        )  # fmt: skip
        await signer.open()
        assert signer.address == Account.from_key(f"0x{secret:064x}").address
        for nonce in range(8):
            signed = await signer.sign(transfer(nonce=nonce), spent_today=0)
            assert Account.recover_transaction(signed.raw) == signer.address
        kms.signs_with = ec.derive_private_key(secret + 1, ec.SECP256K1())
        with pytest.raises(SigningRefusedError) as refused:
            await signer.sign(transfer(), spent_today=0)
        assert refused.value.code == "SIGNER_MISMATCH"
        with pytest.raises(SigningRefusedError):
            await signer.sign(transfer(chain_id=1), spent_today=0)
    await outside.close()
