"""Clients register by an operator's invitation, once, the same both ways, and strangers change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_code.gcregister.form import FormError, client_of, fields_of
from service_code.gcregister.invitation import mint, read
from service_code.kit.binary import TokenError
from tests.service_code.world import SECRETS, Answer, Running, World, routes

CHANNEL = -1001234567890
QUEUE = "registration-processing-queue"
WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
GOOD = {
    "channel_id": str(CHANNEL),
    "client_wallet": WALLET,
    "payout_currency": "USDT",
    "payout_network": "ETH",
    "payout_strategy": "threshold",
    "payout_threshold_usdt": "250.5",
}
LATER = routes(registration=100)
KEY = SECRETS["REGISTRATION_KEY"]


async def invite(registry: Running, channel_id: int = CHANNEL, **more: Any) -> str:
    answer = await registry.operate("POST", "/invitations", {"channel_id": channel_id, **more})
    assert answer.status == 200, answer.text
    return str(answer.json()["invitation"])


async def register(registry: Running, invitation: str, **changes: str | None) -> Answer:
    fields = {"invitation": invitation, **GOOD, **changes}
    body = json.dumps({name: text for name, text in fields.items() if text is not None}).encode()
    return await registry.post("/register", body, content_type="application/json")


async def client(sql: Any) -> dict[str, Any]:
    (row,) = await sql.fetch("SELECT * FROM main_clients_database")
    return dict(row)


async def test_a_client_is_registered_before_the_answer_and_an_operator_sees_him(world: World, sql: Any) -> None:
    async with world.run("gcregister") as registry:
        answer = await register(registry, await invite(registry))
        assert (answer.status, answer.json()["status"]) == (201, "registered")
        listed = (await registry.operate("GET", "/clients")).json()["clients"]
        shown = (await registry.operate("GET", f"/clients/{CHANNEL}")).json()
        told = await registry.request("GET", f"/registrations?id={answer.json()['registration_id']}")
    assert world.outer.tasks == []
    assert (await client(sql))["threshold_usdt"] == 250_500_000
    assert [(one["client_wallet"], one["payout_currency"], one["threshold_usdt"]) for one in listed] == [
        (WALLET, "usdt", "250.5")
    ]
    assert (shown["client"], [one["mode"] for one in shown["registrations"]]) == (listed[0], ["sync"])
    assert (told.status, told.json()["status"]) == (200, "registered")
    assert WALLET not in told.text


async def test_a_form_registers_as_json_does(world: World, sql: Any) -> None:
    async with world.run("gcregister") as registry:
        body = urlencode({"invitation": await invite(registry), **GOOD}).encode()
        answer = await registry.post("/register", body, content_type="application/x-www-form-urlencoded; charset=utf-8")
        assert answer.status == 201
        assert (await register(registry, await invite(registry))).json()["status"] == "already_registered"
    assert (await client(sql))["payout_strategy"] == "threshold"


async def test_with_the_flag_the_answer_comes_at_once_and_the_queue_registers_though_it_comes_twice(
    world: World, sql: Any
) -> None:
    async with world.run("gcregister", ROUTES=LATER) as registry:
        invitation = await invite(registry)
        answer = await register(registry, invitation)
        assert (answer.status, answer.json()["message"]) == (202, "Registration submitted, processing...")
        where = answer.json()["status_url"]
        assert (await registry.request("GET", where)).json()["status"] == "submitted"
        assert await sql.fetchval("SELECT count(*) FROM main_clients_database") == 0
        assert (await register(registry, invitation)).status == 202
        (task,) = world.outer.take(QUEUE)
        said = [(await registry.deliver(task)).json()["status"] for _ in range(2)]
        assert said == ["registered", "already_registered"]
        assert (await registry.request("GET", where)).json()["status"] == "registered"
        assert (await register(registry, invitation)).status == 200
    assert (await client(sql))["client_wallet"] == WALLET


async def test_both_ways_leave_the_same_rows(world: World, sql: Any) -> None:
    for channel, shares in ((-1, routes()), (-2, LATER)):
        async with world.run("gcregister", ROUTES=shares) as registry:
            await register(registry, await invite(registry, channel), channel_id=str(channel))
            for task in world.outer.take(QUEUE):
                await registry.deliver(task)
    rows = await sql.fetch(
        "SELECT c.*, r.status FROM main_clients_database c JOIN registrations r USING (registration_id) ORDER BY 1 DESC"
    )
    own = ("channel_id", "registration_id")
    one, other = ({name: value for name, value in row.items() if name not in own} for row in rows)
    assert one == other


async def test_other_data_is_refused_until_the_operator_issues_a_newer_invitation(world: World, sql: Any) -> None:
    thief = "0x" + "ab" * 20
    async with world.run("gcregister") as registry:
        first = await invite(registry)
        await register(registry, first)
        answer = await register(registry, first, client_wallet=thief)
        assert (answer.status, answer.json()["error"]) == (409, "CHANNEL_REGISTERED")
        assert (await register(registry, first)).json()["status"] == "already_registered"
        world.clock.at += 1
        newer = await invite(registry)
        changes = {"payout_strategy": "instant", "payout_threshold_usdt": None}
        assert (await register(registry, newer, **changes)).json()["status"] == "updated"
        assert (await register(registry, first)).status == 409
        assert (await register(registry, newer, client_wallet=thief)).status == 409
    row = await client(sql)
    assert (row["client_wallet"], row["payout_strategy"], row["threshold_usdt"]) == (WALLET, "instant", None)
    assert await sql.fetchval("SELECT count(*) FROM registrations WHERE status = 'refused'") == 2


async def test_one_invitation_used_for_many_wallets_at_once_registers_one(world: World, sql: Any) -> None:
    async with world.run("gcregister") as registry:
        invitation = await invite(registry)
        answers = await asyncio.gather(
            *(register(registry, invitation, client_wallet=f"0x{number:040x}") for number in range(1, 7))
        )
    assert sorted(answer.status for answer in answers) == [201, *[409] * 5]
    assert await sql.fetchval("SELECT count(*) FROM main_clients_database") == 1


async def test_a_stranger_is_refused_before_anything_is_asked_or_written(world: World, sql: Any) -> None:
    async with world.run("gcregister") as registry:
        good = await invite(registry, valid_hours=1)
        forged = (good[:-4], good[:10] + ("B" if good[10] == "A" else "A") + good[11:], "A" * 1900)
        bad = dict.fromkeys(("", "nonsense!"), "TOKEN_INVALID") | dict.fromkeys(forged, "INVITATION_SIGNATURE")
        for invitation, said in bad.items():
            answer = await register(registry, invitation)
            assert (answer.status, answer.json()["error"]) == (401, said), invitation
        assert (await register(registry, good, channel_id="-7")).json()["error"] == "OTHER_CHANNEL"
        world.clock.at += 3601
        assert (await register(registry, good)).json()["error"] == "INVITATION_EXPIRED"
        assert (await registry.request("GET", "/registrations?id=0123456789abcdef")).status == 404
    assert await sql.fetchval("SELECT count(*) FROM registrations") == 0
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("channel_id", "my channel"), ("channel_id", "9" * 19), ("channel_id", None), ("channel_id", "0"),
        ("client_wallet", WALLET.replace("a", "A")), ("client_wallet", WALLET[:-1]), ("client_wallet", ""),
        ("client_wallet", "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE"), ("payout_currency", "us dt"),
        ("payout_network", "e"), ("payout_strategy", "sometimes"), ("payout_threshold_usdt", "0"),
        ("payout_threshold_usdt", "-5"), ("payout_threshold_usdt", "1.1234567"), ("payout_threshold_usdt", None),
        ("payout_threshold_usdt", "NaN"), ("favourite_colour", "blue"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_field_with_what_to_do(field: str, text: str | None) -> None:
    said = {name: value for name, value in {**GOOD, field: text}.items() if value is not None}
    with pytest.raises(FormError) as refused:
        client_of(fields_of(json.dumps(said).encode(), "application/json"), 0, KEY.encode())
    (problem,) = refused.value.problems
    assert problem["field"] == field
    assert problem["what"]
    assert problem["fix"]


async def test_all_that_is_wrong_is_said_at_once(world: World) -> None:
    async with world.run("gcregister") as registry:
        invitation = await invite(registry)
        answer = await registry.post("/register", json.dumps({"invitation": invitation}).encode())
    fields = {problem["field"] for problem in answer.json()["problems"]}
    assert fields == {"channel_id", "client_wallet", "payout_currency", "payout_network", "payout_strategy"}


async def test_a_wallet_of_another_network_is_taken_as_it_is_written(world: World, sql: Any) -> None:
    tron = "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE"
    async with world.run("gcregister") as registry:
        answer = await register(registry, await invite(registry), client_wallet=tron, payout_network="trx")
    assert answer.status == 201
    assert (await client(sql))["client_wallet"] == tron


async def test_what_queue_and_request_lost_the_sweeper_registers(world: World, sql: Any) -> None:
    async with world.run("gcregister", ROUTES=LATER) as registry:
        world.outer.tasks_status = 503
        assert (await register(registry, await invite(registry))).status == 202
        world.outer.tasks_status = 200
        world.clock.at += 11
        assert (await registry.sweep())["resent"] == 1
        assert len(world.outer.take(QUEUE)) == 1  # and the queue drops it after ten attempts
        world.clock.at += 3000
        assert (await registry.sweep())["settled"] == 0
        world.clock.at += 700
        assert (await registry.sweep())["settled"] == 1
    assert (await client(sql))["client_wallet"] == WALLET


async def test_a_queued_registration_is_carried_out_when_the_flag_is_turned_back(world: World, sql: Any) -> None:
    async with world.run("gcregister", ROUTES=LATER) as registry:
        invitation = await invite(registry)
        assert (await register(registry, invitation)).status == 202
    async with world.run("gcregister") as registry:
        assert (await register(registry, invitation)).status == 201
        (task,) = world.outer.take(QUEUE)
        assert (await registry.deliver(task)).json()["status"] == "already_registered"
    assert (await client(sql))["client_wallet"] == WALLET


async def test_a_message_that_nobody_submitted_registers_nobody(world: World, sql: Any) -> None:
    async with world.run("gcregister", ROUTES=LATER) as registry:
        await register(registry, await invite(registry))
        (task,) = world.outer.take(QUEUE)
        task.body = task.body.replace(task.json()["unique_id"].encode(), b"nobodysubmitted1")
        assert (await registry.deliver(task)).json()["code"] == "UNKNOWN_REGISTRATION"
    assert await sql.fetchval("SELECT count(*) FROM main_clients_database") == 0


async def test_an_invitation_for_no_channel_is_not_issued(world: World) -> None:
    wishes: list[Any] = [{}, {"channel_id": "5"}, {"channel_id": 0}, {"channel_id": 2**63}, []]
    async with world.run("gcregister") as registry:
        for wish in (*wishes, {"channel_id": 5, "valid_hours": 0}):
            assert (await registry.operate("POST", "/invitations", wish)).status == 400


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_no_body_is_anything_but_read_or_refused(body: bytes, kind: str) -> None:
    with contextlib.suppress(FormError):
        client_of(fields_of(body, kind), 0, KEY.encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=120))
def test_no_text_is_an_invitation_that_we_did_not_sign(text: str) -> None:
    with pytest.raises(TokenError):
        read(text, KEY)


def test_an_invitation_is_read_by_every_key_of_the_secret_and_signed_by_the_first() -> None:
    from service_code.gcregister.invitation import Invitation
    from service_code.kit.clock import from_millis

    made = Invitation(channel_id=CHANNEL, issued_at=from_millis(1_000), expires_at=from_millis(2_000))
    assert read(mint(made, KEY), f"{'n' * 64}\n{KEY}") == made
    with pytest.raises(TokenError):
        read(mint(made, KEY), "n" * 64)
