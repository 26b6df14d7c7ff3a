"""Rubbish at every door: refused or kept as a dead letter, with its reason in the log, and nothing else happens.

Strangers at the public doors, callers without or with the wrong token at the guarded ones, and the right caller with
a body that no producer of ours makes. Afterwards a payment is paid as ever and the judge agrees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import spec
from tests.payments.bindings import entries, now
from tests.payments.doors import TRACES, all_refused, letters, newest_letter, refused, said_of, told_by_trace
from tests.payments.forge import (
    SIGNATURE,
    Answer,
    Insider,
    armour,
    call,
    flip,
    host_token,
    order_token,
    read_order,
    signed,
    unarmour,
)
from tests.payments.judge import judge
from tests.payments.rubbish import (
    DEEP,
    NO_JSON,
    TWO_MEGABYTES,
    bad_host_tokens,
    bad_messages,
    bad_notices,
    message,
    unordered_host_tokens,
)
from tests.payments.stack import ROOT, Stack

pytestmark = pytest.mark.stack

SYSTEM = spec.load(ROOT, "local")

#: Doors at which any printable id is one: what way it would take, and a new user.
ANY_ID = ("/ways/{unique_id}", "/users/{user_id}")


@pytest.fixture(scope="module")
def since(stack: Stack) -> str:
    return now(stack)


@pytest.fixture(scope="module")
def insider(stack: Stack, since: str) -> Iterator[Insider]:
    """The owner; when all is over, no service has stumbled or died, and the next payment is paid as ever."""
    made = Insider(stack)
    before = {service: stack.instances(service) for service in SYSTEM.services}
    yield made
    made.close()
    stumbled = entries(stack, since, 'jsonPayload.event="unexpected_error"')
    assert [entry["jsonPayload"] for entry in stumbled] == []
    assert {service: stack.instances(service) for service in SYSTEM.services} == before
    (sent,) = stack.send(amount="0.02", count=1, wait=True)
    stack.paid([sent["unique_id"]])
    stack.idle()
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, "\n".join(report.differences)


# The public doors


def door(insider: Insider) -> str:
    return insider.urls["gcwebhook"] + "/"


def send(insider: Insider, body: bytes, *, key: str | None = None, **headers: str) -> Answer:
    """A notice with the processor's signature, or with another one."""
    signature = signed(body, key if key is not None else insider.key("PROCESSOR_IPN_KEY"))
    return call("POST", door(insider), body, headers={SIGNATURE: signature, **headers})


def test_a_strangers_notice_is_refused_and_leaves_nothing(stack: Stack, insider: Insider, since: str) -> None:
    before = len(letters(stack))
    notice = insider.payment()
    body = notice.body()
    good = signed(body, insider.key("PROCESSOR_IPN_KEY"))
    for signature, code in (
        ("", "NO_SIGNATURE"),
        ("0" * 128, "BAD_SIGNATURE"),
        (good[:-1], "BAD_SIGNATURE"),
        (good + "00", "BAD_SIGNATURE"),
        ("é" * 64, "BAD_SIGNATURE"),
        (signed(body, "another key"), "BAD_SIGNATURE"),
    ):
        answer = call("POST", door(insider), body, headers={SIGNATURE: signature} if signature else {})
        refused(stack, since, answer, 401, code)
    altered = call("POST", door(insider), notice.body(actually_paid="99"), headers={SIGNATURE: good})
    refused(stack, since, altered, 401, "BAD_SIGNATURE")
    longest = SYSTEM.service("gcwebhook").max_body_bytes
    for name, rubbish in NO_JSON.items():
        if len(rubbish) > longest:
            assert (send(insider, rubbish).status, call("POST", door(insider), rubbish).status) == (413, 413), name
            continue
        readable = name == "endless int"  # numbers of a notice are kept as they are written
        refused(stack, since, send(insider, rubbish), 400, "UNKNOWN_STATUS" if readable else "NOT_JSON")
        assert call("POST", door(insider), rubbish).status == (401 if readable else 400), name
    for rubbish in (b"[]", b"7", b'"text"', b"null", b"true"):
        refused(stack, since, send(insider, rubbish), 400, "NOT_A_NOTICE")
    large = send(insider, TWO_MEGABYTES)
    assert large.status == 413
    assert "body_too_long" in json.dumps(said_of(stack, since, large))
    assert len(letters(stack)) == before
    assert not stack.sql("SELECT 1 AS row FROM split_payout_request WHERE unique_id = $1", notice.unique_id)


def test_what_the_processor_signed_and_nobody_can_use_is_kept(stack: Stack, insider: Insider, since: str) -> None:
    notice = insider.payment()
    order_key = insider.key("SUCCESS_URL_SIGNING_KEY")
    moment = int(datetime.fromisoformat(now(stack)).timestamp() * 1000)
    host = host_token(insider.key("TPS_HOSTPAY_SIGNING_KEY"), issued_at=moment / 1000)
    for changes, status, code in bad_notices(notice, order_key, host, moment):
        before = len(letters(stack))
        refused(stack, since, send(insider, notice.body(**changes)), status, code)
        (*_, last) = kept = letters(stack)
        assert len(kept) == before + 1, changes
        assert (last["service"], last["endpoint"], last["code"]) == ("gcwebhook", "/", code)
    again = len(letters(stack))
    refused(stack, since, send(insider, notice.body(actually_paid="-0.01")), 422, "BAD_AMOUNT")
    assert len(letters(stack)) == again  # one letter a body
    refused(stack, since, send(insider, notice.body(payment_status="perhaps")), 400, "UNKNOWN_STATUS")
    assert send(insider, notice.body(payment_status="waiting")).body["status"] == "ignored"
    assert not stack.sql("SELECT 1 AS row FROM split_payout_request WHERE unique_id = $1", notice.unique_id)
    accepted = send(insider, notice.body(), **{"Content-Type": "text/plain; charset=utf-16"})
    assert (accepted.status, accepted.body["status"]) == (200, "accepted")  # the body counts, not what it is called
    stack.paid([notice.unique_id])


def test_a_repeat_is_told_so_whatever_else_it_says(stack: Stack, insider: Insider, since: str) -> None:
    notice, other = insider.payment(), insider.payment()
    assert send(insider, notice.body()).body["status"] == "accepted"
    stack.paid([notice.unique_id])
    postings = len(stack.sql("SELECT 1 FROM ledger_postings"))
    moment = int(datetime.fromisoformat(now(stack)).timestamp() * 1000)
    for changes in ({}, {"updated_at": moment - 48 * 3600 * 1000}, {"actually_paid": "9"}, {"actually_paid": "0.001"}):
        answer = send(insider, notice.body(**changes))
        assert (answer.status, answer.body["status"]) == (200, "already_processed"), changes
    different = [one["why"] for one in letters(stack) if one["unique_id"] == notice.unique_id]
    assert len(different) == 2  # money that nobody has accounted for is told of
    assert any("9 eth" in why for why in different)
    reused = send(insider, other.body(payment_id=notice.fields["payment_id"]))
    refused(stack, since, reused, 409, "PAYMENT_ID_REUSED")
    redirect = call("GET", f"{door(insider)}?token={notice.token}")
    assert (redirect.status, redirect.body["status"]) == (200, "already_processed")
    stack.idle()
    assert len(stack.sql("SELECT 1 FROM ledger_postings")) == postings
    assert send(insider, other.body()).body["status"] == "accepted"  # the honest one is not harmed by it
    stack.paid([other.unique_id])


def test_a_redirect_with_a_bad_token_is_refused(stack: Stack, insider: Insider, since: str) -> None:
    notice = insider.payment()
    key, order = insider.key("SUCCESS_URL_SIGNING_KEY"), read_order(notice.token)
    issued: int = order["issued_at"]
    host = host_token(insider.key("TPS_HOSTPAY_SIGNING_KEY"), issued_at=issued)
    for token, status, code in (
        ("", 400, "TOKEN_INVALID"),
        ("%00", 400, "TOKEN_INVALID"),
        ("%ff%fe", 400, "TOKEN_INVALID"),
        ("..%2f..%2fetc", 400, "TOKEN_INVALID"),
        ("A" * 4000, 400, "TOKEN_INVALID"),
        (notice.token[:20], 400, "TOKEN_INVALID"),
        (armour(unarmour(notice.token)[:-3]), 400, "TOKEN_SIGNATURE"),
        (flip(notice.token, 3), 400, "TOKEN_SIGNATURE"),
        (host, 400, "TOKEN_SIGNATURE"),
        (order_token(order | {"issued_at": issued - 25 * 3600}, key), 400, "STALE"),
        (order_token(order | {"issued_at": issued + 3600}, key), 400, "STALE"),
        (order_token(order | {"amount": bytes(32)}, key), 422, "BAD_AMOUNT"),
    ):
        refused(stack, since, call("GET", f"{door(insider)}?token={token}"), status, code)
    refused(stack, since, call("GET", door(insider)), 400, "TOKEN_INVALID")
    assert not stack.sql("SELECT 1 AS row FROM split_payout_request WHERE unique_id = $1", notice.unique_id)


def test_other_paths_and_methods_are_plain_4xx(insider: Insider) -> None:
    for path in ("nothing", "../etc/passwd", "%00", "%ff", "a" * 3000, "//", "health/more", "?token", ".env"):
        for method in ("GET", "POST", "DELETE"):
            answer = call(method, door(insider) + path, b"{}" if method == "POST" else None)
            assert 400 <= answer.status < 500, (method, path, answer)
            assert not [trace for trace in TRACES if trace in answer.text]
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        assert call(method, door(insider)).status == 405


# The guarded doors


def guarded() -> list[tuple[str, str, str, str]]:
    """Service, path, account that may call it, and why."""
    return [
        (service, path, caller.account_id, caller.why)
        for service in SYSTEM.services
        for path, callers in SYSTEM.callers(service).items()
        for caller in callers
        if path != "/health"  # anybody who is through the cloud's door may ask it
    ]


def filled(path: str, unique_id: str) -> str:
    """The path with this id where it asks for one."""
    head, _, tail = path.partition("{")
    return head + unique_id + tail.partition("}")[2] if tail else path


def knock(url: str, path: str, body: bytes = b"{}", token: str = "", **headers: str) -> Answer:
    """POST, or GET where the door takes no POST."""
    address = url + filled(path, "NOBODY")
    answer = call("POST", address, body, headers=headers, token=token)
    return call("GET", address, headers=headers, token=token) if answer.status == 405 else answer


def test_no_door_opens_without_a_token(stack: Stack, insider: Insider, since: str) -> None:
    instances = {service: insider.instance(service) for service in SYSTEM.services}
    answers = []
    for service, path, _, _ in guarded():
        at_the_cloud = knock(insider.doors[service], path)
        if SYSTEM.service(service).public:
            answers.append(at_the_cloud)
        else:
            assert at_the_cloud.status == 403, (service, path)
            assert "roles/run.invoker" in at_the_cloud.text
        answers.append(knock(instances[service], path))
    all_refused(stack, since, answers, 401, "an OIDC token is needed")


def test_no_door_opens_for_a_token_that_was_not_made_for_it(stack: Stack, insider: Insider, since: str) -> None:
    began = now(stack)
    stranger, answers = rsa.generate_private_key(public_exponent=65537, key_size=2048), list[Answer]()
    for service, path, account, _ in guarded():
        url, good = insider.instance(service), insider.token(account, service)
        claims = jwt.decode(good, options={"verify_signature": False})
        kid = jwt.get_unverified_header(good)["kid"]
        head, body, _ = good.split(".")
        other = next(name for name in SYSTEM.services if name != service)
        wrong_account = next(a for _, p, a, _ in guarded() if a != account)
        for token, status, why in (
            (insider.token(account, other), 401, "the OIDC token is for another audience"),
            (insider.mint(account, "https://elsewhere.example"), 401, "the OIDC token is for another audience"),
            (insider.token(wrong_account, service), 403, f"this account may not call {path}"),
            (good[:40], 401, "the OIDC token cannot be read"),
            (f"{head}.{body}", 401, "the OIDC token cannot be read"),
            (f"{head}.{flip(body, 5)}.AAAA", 401, "the OIDC token is not valid"),
            (flipped_signature(good), 401, "the OIDC token is not valid: InvalidSignatureError"),
            (jwt.encode(claims, "", algorithm="none"), 401, "the OIDC token is"),
            (jwt.encode(claims, "k" * 40, algorithm="HS256", headers={"kid": kid}), 401, "the OIDC token is not valid"),
            (jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": kid}), 401, "the OIDC token is not valid"),
            (jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "x"}), 401, "unknown key"),
            (armour(DEEP[:20_000]) + ".e30.AAAA", 401, "the OIDC token cannot be read"),
            ("\u00ff\u00fe", 401, "the OIDC token cannot be read"),
        ):
            answer = knock(url, path, token=token)
            answers.append(answer)
            assert (answer.status, why in answer.body["error"]) == (status, True), (service, path, why, answer)
    told_by_trace(stack, began, 'jsonPayload.event="caller_refused"', answers)


def flipped_signature(token: str) -> str:
    head, _, signature = token.rpartition(".")
    return f"{head}.{flip(signature, 20)}"


def test_a_token_is_refused_when_the_clock_has_passed_it(stack: Stack, insider: Insider, since: str) -> None:
    old = {(service, path): insider.mint(account, insider.urls[service]) for service, path, account, _ in guarded()}
    stack.advance(3600 + 60)
    insider._tokens.clear()
    answers = []
    for (service, path), token in old.items():
        answers.append(knock(insider.instance(service), path, token=token))
        at_the_cloud = knock(insider.doors[service], path, token=token)
        assert at_the_cloud.status == 401, (service, path)
    all_refused(stack, since, answers, 401, "the OIDC token has expired")


#: A queue for each door, since a body that dies at a door twice is kept once.
QUEUES = sorted({(edge.receiver, edge.path): queue for queue, edge in sorted(SYSTEM.queues.items())}.values())


@pytest.mark.parametrize("queue", QUEUES)
def test_what_is_no_message_is_kept_and_acknowledged(stack: Stack, insider: Insider, since: str, queue: str) -> None:
    edge = SYSTEM.queues[queue]
    token = insider.token(spec.names.invoker_account_id(queue), edge.receiver)
    url = insider.doors[edge.receiver] + edge.path
    stores = SYSTEM.service(edge.receiver).database
    bad, before = list(bad_messages(edge.message)), newest_letter(stack)
    answers = [call("POST", url, body, token=token) for body, _ in bad]
    for answer, (body, code) in zip(answers, bad, strict=True):
        assert (answer.status, answer.body.get("status"), answer.body.get("code")) == (200, "dead", code), body[:200]
        assert not [trace for trace in TRACES if trace in answer.text]
    kept = [(one["service"], one["endpoint"], one["code"]) for one in letters(stack, before)]
    assert kept == ([(edge.receiver, edge.path, code) for _, code in bad] if stores else [])
    told = told_by_trace(stack, since, 'jsonPayload.event="dead_letter"', answers)
    for answer, (_, code) in zip(answers, bad, strict=True):
        said = told[answer.trace]
        assert [(line["severity"], line["code"], line["why"]) for line in said] == [("ERROR", code, answer.body["why"])]
        assert stores or "body" in said[0]  # without a database the log is where it is kept
    assert call("POST", url, TWO_MEGABYTES, token=token).status == 413
    for headers in (
        {"X-CloudTasks-TaskRetryCount": "many"},
        {"X-CloudTasks-TaskRetryCount": "-1"},
        {"X-CloudTasks-TaskRetryCount": "9" * 200},
        {"X-CloudTasks-TaskName": "x" * 2000, "X-CloudTasks-QueueName": "\u00e9"},
        {"traceparent": "00-zz-zz-zz"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Encoding": "gzip"},
    ):
        assert call("POST", url, b"{", headers=headers, token=token).status == 200  # kept before: one letter a body


def test_an_unknown_payment_or_payout_is_kept_and_acknowledged(stack: Stack, insider: Insider) -> None:
    for queue, name, code in (
        ("channel-access-queue", "GrantAccess", "UNKNOWN_PAYMENT"),
        ("hostpay-confirm-queue", "ConfirmPayout", "UNKNOWN_PAYOUT"),
        ("gchostpay4-news-queue", "ChainNews", "UNKNOWN_PAYOUT"),
    ):
        edge = SYSTEM.queues[queue]
        token = insider.token(spec.names.invoker_account_id(queue), edge.receiver)
        answer = call("POST", insider.doors[edge.receiver] + edge.path, message(name), token=token)
        assert (answer.status, answer.body["code"]) == (200, code)
        assert letters(stack)[-1]["code"] == code


def test_a_host_payments_token_that_is_not_good_pays_nothing(stack: Stack, insider: Insider, since: str) -> None:
    queue = "hostpay-execution-queue"
    edge = SYSTEM.queues[queue]
    token = insider.token(spec.names.invoker_account_id(queue), edge.receiver)
    key, at = insider.key("TPS_HOSTPAY_SIGNING_KEY"), datetime.fromisoformat(now(stack)).timestamp()
    order = insider.payment().token
    for bad, code in bad_host_tokens(key, at, order):
        answer = call("POST", insider.doors[edge.receiver] + edge.path, message("HostPayOrder", token=bad), token=token)
        assert (answer.status, answer.body.get("code")) == (200, code), (bad, answer)
        last = letters(stack)[-1]
        assert (last["endpoint"], last["code"]) == (edge.path, code)
        assert bad not in last["body"]  # a token is not kept in clear
        said = [line for line in said_of(stack, since, answer) if line.get("event") == "dead_letter"]
        assert [line["code"] for line in said] == [code]
    kept = len(letters(stack))
    for unordered in unordered_host_tokens(key, at):
        body = message("HostPayOrder", token=unordered)
        answer = call("POST", insider.doors[edge.receiver] + edge.path, body, token=token)
        assert (answer.status, answer.body["status"]) == (500, "retry")
    assert len(letters(stack)) == kept
    assert not stack.sql("SELECT 1 AS row FROM split_payout_hostpay WHERE unique_id LIKE 'RUBBISH%'")


def test_the_scheduler_and_operators_may_send_rubbish_and_get_4xx_or_the_usual(stack: Stack, insider: Insider) -> None:
    ids = ["NOBODY", "%00", "a%00b", "%ff", "%F0%9F%92%B8", "x" * 2000, "%27%3B--", "..%2f..", "%20", "1%0a2"]
    for service, path, account, why in guarded():
        if why in ("queue", "direct"):
            continue
        token, url = insider.token(account, service), insider.doors[service]
        for body in (*NO_JSON.values(), TWO_MEGABYTES):
            answer = knock(url, path, body, token=token)
            allowed = {200, 413} if "{" not in path or path in ANY_ID else {404, 409, 413}
            if why == "operator":
                allowed.add(400)  # no request that an operator would make
            assert answer.status in allowed, (service, path, body[:50], answer)
        for unique_id in ids if "{" in path else ():
            address = url + filled(path, unique_id)
            for method in ("GET", "POST"):
                answer = call(method, address, b"{}" if method == "POST" else None, token=token)
                assert answer.status in (400, 404, 405, *((200,) if path in ANY_ID else ())), (service, address, answer)
                assert not [trace for trace in TRACES if trace in answer.text]
