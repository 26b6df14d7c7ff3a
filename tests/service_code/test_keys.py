"""Secrets that are being rotated: whatever one of their keys signed is taken, and an old key's use is said."""

from __future__ import annotations

import base64
import hmac
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

import spec
from service_code.gchostpay4 import notice as chain_notice
from service_code.gcregister import invitation
from service_code.gcregister.form import client_of
from service_code.gcwebhook import notice as processor_notice
from service_code.kit import keys, logs, order_token
from service_code.kit.binary import TokenError, unarmour
from service_code.kit.clock import to_millis
from service_code.kit.money import Amount
from service_code.kit.paynow import notice as paynow_notice
from service_code.kit.tokens import HostPayClaim, Purpose, Tokens
from tests.service_code.servers import ROOT
from tests.service_code.test_register import CHANNEL, GOOD
from tests.service_code.test_tokens import AT, claim, old_token

OLD, NEW, OTHER = "o" * 64, "n" * 64, "x" * 64
BOTH = (f"{OLD}\n{NEW}", f"{NEW}\n{OLD}\n")


def order() -> order_token.Order:
    return order_token.Order(
        unique_id="pay-1", user_id=7, channel_id=-100, issued_at=AT.replace(microsecond=0), subscription_days=30,
        amount=Amount(currency="eth", units=5), client_wallet="0x1", payout_currency="eth", payout_network="eth",
    )  # fmt: skip


def invited() -> invitation.Invitation:
    return invitation.Invitation(channel_id=CHANNEL, issued_at=AT, expires_at=AT + timedelta(days=1))


def hostpay(signing: str, reading: str) -> None:
    token = Tokens(signing, Purpose.HOSTPAY_EXECUTION, HostPayClaim).mint(claim())
    Tokens(reading, Purpose.HOSTPAY_EXECUTION, HostPayClaim).read(token)


def ordered(signing: str, reading: str) -> None:
    for version in (keys.PLAIN, keys.NAMED):
        assert order_token.read(order_token.mint(order(), signing, version=version), reading) == order()


def invites(signing: str, reading: str) -> None:
    for version in (keys.PLAIN, keys.NAMED):
        assert invitation.read(invitation.mint(invited(), signing, version=version), reading) == invited()


def processor(signing: str, reading: str) -> None:
    body = b'{"a":1}'
    signature = hmac.digest(keys.read_keys(signing)[0], body, "sha512").hex()
    processor_notice.verify(body, signature, reading)


def paynow(signing: str, reading: str) -> None:
    at, body = str(to_millis(AT)), b"{}"
    digest = hmac.digest(keys.read_keys(signing)[0], f"{at}.{body.decode()}".encode(), "sha256")
    paynow_notice.verify(body, base64.b64encode(digest).decode(), at, reading)


def chain(signing: str, reading: str) -> None:
    signature = hmac.digest(keys.read_keys(signing)[0], b"{}", "sha256").hex()
    chain_notice.verify(b"{}", signature, chain_notice.keys_of(reading))


#: Secret -> its reader, of something that another value of it signed.
READERS: dict[str, Callable[[str, str], None]] = {
    "ALCHEMY_WEBHOOK_SIGNING_KEY": chain,
    "HOSTPAY_INTERNAL_SIGNING_KEY": hostpay,
    "PAYNOW_WEBHOOK_SECRET": paynow,
    "PROCESSOR_IPN_KEY": processor,
    "REGISTRATION_KEY": invites,
    "SUCCESS_URL_SIGNING_KEY": ordered,
    "TPS_HOSTPAY_SIGNING_KEY": hostpay,
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_both_keys_are_taken_in_either_order_and_no_other(name: str) -> None:
    read = READERS[name]
    for reading in BOTH:
        read(OLD, reading)
        read(NEW, reading)
        with pytest.raises((TokenError, ValueError)):
            read(OTHER, reading)
        with pytest.raises((TokenError, ValueError)):
            read(reading, OTHER)


def test_every_secret_that_may_hold_several_keys_has_such_a_reader() -> None:
    declared = spec.load(ROOT).secrets
    assert {name for name, secret in declared.items() if secret.rotation.several} == set(READERS)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    stream = io.StringIO()
    logs.configure("gcwebhook", "p", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.configure("gcwebhook", "p")


def test_only_another_key_than_the_first_is_told_of_by_its_id(lines: Callable[[], list[dict[str, Any]]]) -> None:
    both = f"{NEW}\n{OLD}"
    for read in (hostpay, ordered, invites):
        read(NEW, both)
    assert lines() == []
    for read in (hostpay, ordered, invites):
        read(OLD, both)
    Tokens(both, Purpose.HOSTPAY_EXECUTION, HostPayClaim).read(old_token(key=OLD))
    found = lines()
    assert {line["event"] for line in found} == {keys.OLD_KEY}
    assert {line["key_id"] for line in found} == {keys.key_id(OLD.encode()).hex()}
    assert len(found) == 6
    assert OLD not in json.dumps(found)


def test_a_token_that_names_its_key_is_tried_with_that_one_alone() -> None:
    named = unarmour(order_token.mint(order(), NEW, version=keys.NAMED))
    assert named[1:5] == keys.key_id(NEW.encode())
    cut = named[:3]
    assert keys.unlabelled(cut) == (cut, None)
    with pytest.raises(TokenError):
        order_token.read(order_token.mint(order(), NEW, version=keys.NAMED), OLD)


def test_who_registers_again_while_keys_change_has_the_same_registration() -> None:
    text = invitation.mint(invited(), OLD)
    ids = {client_of(GOOD, 1, invitation.read(text, reading).key).unique_id for reading in (OLD, *BOTH)}
    assert len(ids) == 1
