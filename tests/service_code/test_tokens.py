"""Tokens: what is minted is read back, one changed bit is refused, and old producers are still understood."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_code.kit import order_token
from service_code.kit.binary import TokenError, armour, unarmour
from service_code.kit.money import LARGEST, Amount
from service_code.kit.tokens import Claim, ExecuteClaim, HostPayClaim, PaidClaim, Purpose, StatusClaim, Tokens

KEY = "k" * 64
TOKENS = Tokens(KEY, Purpose.HOSTPAY_EXECUTION, HostPayClaim)
AT = datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC)

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
claims = st.builds(
    HostPayClaim,
    unique_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16),
    generation=st.integers(1, 65535),
    cn_api_id=printable,
    amount=st.builds(Amount, currency=st.sampled_from(["eth", "usdt"]), units=st.integers(0, LARGEST)),
    network=printable,
    payin_address=printable,
    issued_at=st.integers(0, 4 * 10**12).map(
        lambda ms: datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)
    ),
)


def claim(**more: Any) -> HostPayClaim:
    fields: dict[str, Any] = {
        "unique_id": "pay-1",
        "cn_api_id": "cn42",
        "amount": Amount(currency="eth", units=47_500_000_000_000_001),
        "network": "eth",
        "payin_address": "0x" + "ab" * 20,
        "issued_at": AT,
    }
    return HostPayClaim(**{**fields, **more})


@given(claims)
def test_a_claim_survives_its_token(one: HostPayClaim) -> None:
    assert TOKENS.read(TOKENS.mint(one)) == one


@given(claims, st.data())
def test_one_flipped_bit_is_refused(one: HostPayClaim, data: st.DataObject) -> None:
    raw = bytearray(unarmour(TOKENS.mint(one)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TokenError):
        TOKENS.read(armour(bytes(raw)))


@given(st.text(max_size=200) | st.binary(max_size=200).map(armour))
def test_any_other_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.read(text)
    with pytest.raises(TokenError):
        order_token.read(text, KEY)


def old_token(amount: float = 0.0475, key: str = KEY, seconds: int = int(AT.timestamp())) -> str:
    """Mint as the documents' producers do; written from the document alone."""
    body = b"pay-1".ljust(16, b"\0")
    for text in (b"cn42", b"ETH", b"eth"):
        body += bytes([len(text)]) + text
    body += struct.pack(">d", amount)
    body += bytes([42]) + b"0x" + b"ab" * 20
    body += struct.pack(">I", seconds)
    body += hmac.new(key.encode(), body, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def test_the_documents_layout_is_read_byte_for_byte() -> None:
    # A vector: the text of `old_token()` with the key of 64 k, so that both ends cannot drift together.
    vector = (
        "cGF5LTEAAAAAAAAAAAAAAARjbjQyA0VUSANldGg_qFHrhR64UioweGFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFi"
        "YWJhYmFiYWJhYmFiYWJrAtlAe_sbCor-9svUFKxHiKoD4Q"
    )
    assert old_token() == vector
    read = TOKENS.read(old_token())
    assert read == claim(
        amount=Amount(currency="eth", units=47_500_000_000_000_000), issued_at=AT.replace(microsecond=0), version=1
    )


def test_the_successors_layout_is_fixed() -> None:
    raw = unarmour(TOKENS.mint(claim()))
    assert raw[:2] == bytes([2, Purpose.HOSTPAY_EXECUTION])
    assert raw[2:6] == hashlib.sha256(b"TPS_HOSTPAY key id\0" + KEY.encode()).digest()[:4]
    assert raw[6:24] == b"pay-1".ljust(16, b"\0") + b"\0\x01"
    assert raw[24:37] == b"\x04cn42\x03eth\x03eth"
    assert int.from_bytes(raw[37:69], "big") == 47_500_000_000_000_001
    assert raw[69:112] == bytes([42]) + b"0x" + b"ab" * 20
    assert int.from_bytes(raw[112:120], "big") == int(AT.timestamp() * 1000)
    assert raw[120:] == hmac.new(KEY.encode(), raw[:120], hashlib.sha256).digest()


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0, 1e300])
def test_an_old_token_whose_double_is_no_amount_is_refused(amount: float) -> None:
    with pytest.raises(TokenError, match=r"amount|number"):
        TOKENS.read(old_token(amount))


def test_a_token_is_refused_where_it_was_not_made_for_and_under_keys_not_known() -> None:
    token = TOKENS.mint(claim())
    with pytest.raises(TokenError) as purpose:
        Tokens(KEY, Purpose.HOSTPAY_TRIGGER, HostPayClaim).read(token)
    with pytest.raises(TokenError) as key:
        Tokens("x" * 64, Purpose.HOSTPAY_EXECUTION, HostPayClaim).read(token)
    with pytest.raises(TokenError) as old:
        TOKENS.read(old_token(key="x" * 64))
    assert [error.value.code for error in (purpose, key, old)] == [
        "TOKEN_PURPOSE",
        "TOKEN_UNKNOWN_KEY",
        "TOKEN_SIGNATURE",
    ]


def test_a_key_is_rotated_by_putting_the_new_one_first() -> None:
    both = Tokens("n" * 64 + "\n" + KEY + "\n", Purpose.HOSTPAY_EXECUTION, HostPayClaim)
    assert both.read(TOKENS.mint(claim())) == claim()
    assert both.read(old_token()).version == 1
    assert Tokens("n" * 64, Purpose.HOSTPAY_EXECUTION, HostPayClaim).read(both.mint(claim())) == claim()


def test_age_is_judged_by_the_given_time() -> None:
    assert claim().age(AT + timedelta(seconds=59)) == timedelta(seconds=59)
    assert claim().age(AT - timedelta(seconds=29)) == timedelta(0)
    with pytest.raises(TokenError):
        claim().age(AT - timedelta(seconds=31))


#: Internal tokens by purpose: a claim of each, and its document's layout written out by hand from seeds/001 section 6.
PAYMENT: dict[str, Any] = {
    "cn_api_id": "cn42",
    "amount": Amount(currency="eth", units=47_500_000_000_000_000),
    "network": "eth",
}
COMMON: dict[str, Any] = {"unique_id": "pay-1", "issued_at": AT.replace(microsecond=0), "version": 1}
TO = "0x" + "ab" * 20
HEAD, MONEY = b"pay-1".ljust(16, b"\0") + b"\x04cn42", b"\x03ETH\x03eth" + struct.pack(">d", 0.0475)
TAIL = bytes([42]) + TO.encode()
WHEN = struct.pack(">I", int(AT.timestamp()))
DOCUMENTS: dict[Purpose, tuple[Claim, bytes]] = {
    Purpose.HOSTPAY_TRIGGER: (HostPayClaim(**COMMON, **PAYMENT, payin_address=TO), HEAD + MONEY + TAIL + WHEN),
    Purpose.STATUS_CHECK: (HostPayClaim(**COMMON, **PAYMENT, payin_address=TO), HEAD + MONEY + TAIL + WHEN),
    Purpose.STATUS_RESULT: (
        StatusClaim(**COMMON, **PAYMENT, payin_address=TO, status="waiting"),
        HEAD + b"\x07waiting" + MONEY + TAIL + WHEN,
    ),
    Purpose.PAYMENT_EXECUTE: (ExecuteClaim(**COMMON, **PAYMENT, payin_address=TO), HEAD + MONEY + TAIL + WHEN),
    Purpose.PAYMENT_RESULT: (
        PaidClaim(
            **COMMON, cn_api_id="cn42", tx_hash="0x" + "cd" * 32, tx_status="success", gas_used=21000, block_number=7
        ),
        HEAD + bytes([66]) + b"0x" + b"cd" * 32 + b"\x07success" + struct.pack(">dQ", 21000.0, 7) + WHEN,
    ),
}


@pytest.mark.parametrize("purpose", DOCUMENTS, ids=lambda purpose: purpose.name.lower())
def test_each_layout_of_the_documents_is_read_and_written_byte_for_byte(purpose: Purpose) -> None:
    said, body = DOCUMENTS[purpose]
    tokens: Tokens[Any] = Tokens(KEY, purpose, type(said))
    signed = body + hmac.new(KEY.encode(), body, hashlib.sha256).digest()[:16]
    token = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
    assert tokens.read(token) == said
    assert tokens.mint(said, version=1) == token


successors = st.one_of(
    st.tuples(st.just(Purpose.STATUS_CHECK), claims),
    st.tuples(
        st.just(Purpose.STATUS_RESULT),
        st.builds(lambda one, status: StatusClaim(**fields_of(one), status=status), claims, printable),
    ),
    st.tuples(
        st.just(Purpose.PAYMENT_EXECUTE),
        st.builds(
            lambda one, count, first, code: ExecuteClaim(
                **fields_of(one), attempt_count=count, first_attempt_at=first, last_error_code=code
            ),
            claims,
            st.integers(0, 255),
            st.none() | st.just(AT),
            st.just("") | printable,
        ),
    ),
    st.tuples(
        st.just(Purpose.PAYMENT_RESULT),
        st.builds(
            PaidClaim,
            unique_id=st.just("pay-1"),
            generation=st.integers(1, 65535),
            cn_api_id=printable,
            issued_at=st.just(AT),
            tx_hash=printable,
            tx_status=printable,
            gas_used=st.integers(0, 2**64 - 1),
            block_number=st.integers(0, 2**64 - 1),
        ),
    ),
)


def fields_of(one: HostPayClaim) -> dict[str, Any]:
    return {name: getattr(one, name) for name in HostPayClaim.__dataclass_fields__}


@given(successors)
def test_every_internal_claim_survives_its_token_and_enters_no_other_door(pair: tuple[Purpose, Any]) -> None:
    purpose, said = pair
    token = Tokens(KEY, purpose, type(said)).mint(said)
    for door, (example, _) in DOCUMENTS.items():
        reader: Tokens[Any] = Tokens(KEY, door, type(example))
        if door is purpose:
            assert reader.read(token) == said
        else:
            with pytest.raises(TokenError) as refused:
                reader.read(token)
            assert refused.value.code == "TOKEN_PURPOSE"


def test_the_documents_layout_forgets_what_it_has_no_place_for_and_refuses_what_does_not_fit() -> None:
    tokens: Tokens[Any] = Tokens(KEY, Purpose.PAYMENT_EXECUTE, ExecuteClaim)
    fields = {**fields_of(claim()), "version": 2, "generation": 3}
    again = tokens.read(
        tokens.mint(ExecuteClaim(**fields, attempt_count=2, first_attempt_at=AT, last_error_code="X"), version=1)
    )
    assert (again.generation, again.attempt_count, again.first_attempt_at, again.last_error_code) == (1, 0, None, "")
    with pytest.raises(TokenError):
        tokens.mint(ExecuteClaim(**fields, attempt_count=256))
    with pytest.raises(TypeError):
        Tokens(KEY, Purpose.PAYMENT_EXECUTE, HostPayClaim)


orders = st.builds(
    order_token.Order,
    unique_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16),
    user_id=st.integers(-(2**63), 2**63 - 1),
    channel_id=st.integers(-(2**63), 2**63 - 1),
    issued_at=st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    subscription_days=st.integers(0, 65535),
    amount=st.builds(Amount, currency=st.just("eth"), units=st.integers(0, LARGEST)),
    client_wallet=printable,
    payout_currency=printable,
    payout_network=printable,
)


@given(orders, st.data())
def test_an_order_survives_its_token_and_no_flipped_bit_does(one: order_token.Order, data: st.DataObject) -> None:
    token = order_token.mint(one, KEY)
    assert order_token.read(token, KEY) == one
    raw = bytearray(unarmour(token))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TokenError):
        order_token.read(armour(bytes(raw)), KEY)


def test_the_sandboxs_own_order_token_is_read() -> None:
    from sandbox.processor.order import Order

    minted = Order(
        unique_id="pay-000000000001", user_id=5, channel_id=-100, issued_at=1_800_000_000, subscription_days=30,
        amount=10**17, currency="eth", client_wallet="0x" + "cd" * 20, payout_currency="usdt", payout_network="eth",
    )  # fmt: skip
    read = order_token.read(minted.token(KEY), KEY)
    assert (read.unique_id, read.amount.units, read.channel_id) == ("pay-000000000001", 10**17, -100)
