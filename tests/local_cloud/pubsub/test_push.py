"""Push delivery: what an endpoint gets, which answers acknowledge, deadlines, order, tokens, and the pace."""

import base64
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.pubsub.push_window import LINEAR_FROM, LONGEST_PAUSE, SHORTEST_PAUSE, START, Pause, Window
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, account, call, idle, listening
from tests.local_cloud.pubsub.clients import Clients

POLICY = {"retry_policy": {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}}}


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


def pushed(clients: Clients, topic: str, target: Target, push: Any = None, **settings: Any) -> str:
    config = {"push_endpoint": f"{target.url}/push", **(push or {})}
    return clients.subscription(topic, push_config=config, **settings)


def bodies(target: Target) -> list[str]:
    """The data of every push, in the order in which they came."""
    return [base64.b64decode(json.loads(body)["message"]["data"]).decode() for _, _, body in target.seen]


@pins(
    "pubsub",
    "Push",
    "A message is POSTed as JSON: data in base64, attributes, id and time under both spellings, ordering key, the "
    "subscription, and deliveryAttempt where there is a dead letter policy",
    documented="Push subscriptions",
)
def test_wrapped_push_says_all_of_the_message(clients: Clients, target: Target) -> None:
    topic = clients.topic()
    name = pushed(clients, topic, target, dead_letter_policy={"dead_letter_topic": topic}, enable_message_ordering=True)
    made = clients.publisher.publish(topic=topic, data=b"\x00hi", ordering_key="user", k="v").result(10)
    [(path, headers, raw)] = target.wait(1)
    body = json.loads(raw)
    inner = body["message"]
    assert (path, headers["Content-Type"]) == ("/push", "application/json")
    assert "Authorization" not in headers
    assert (body["subscription"], body["deliveryAttempt"]) == (name, 1)
    assert (base64.b64decode(inner["data"]), inner["attributes"]) == (b"\x00hi", {"k": "v"})
    assert (inner["messageId"], inner["message_id"], inner["orderingKey"]) == (made, made, "user")
    assert inner["publishTime"] == inner["publish_time"]
    assert inner["publishTime"].endswith("Z")


@pins(
    "pubsub",
    "Push",
    "Without a wrapper the body is the data alone; with metadata it comes as x-goog-pubsub-* headers, and attributes "
    "as headers of their own, as far as they can be headers",
    documented="Payload unwrapping",
)
def test_unwrapped_push_is_the_data_alone(clients: Clients, target: Target) -> None:
    bare, told = clients.topic(), clients.topic()
    pushed(clients, bare, target, {"no_wrapper": {"write_metadata": False}})
    name = pushed(clients, told, target, {"no_wrapper": {"write_metadata": True}})
    clients.publisher.publish(topic=bare, data=b"one", k="v").result(10)
    target.wait(1)
    attributes = {
        "ce-type": "order",
        "bad name": "x",
        "split": "a\r\nEvil: 1",
        "Host": "evil",
        "x-goog-pubsub-message-id": "1",
    }
    made = clients.publisher.publish(topic=told, data=b"two", **attributes).result(10)
    first, second = target.wait(2)
    assert (first[2], [key for key in first[1] if key.lower().startswith(("x-goog", "k"))]) == (b"one", [])
    headers = second[1]
    assert second[2] == b"two"
    assert (headers["x-goog-pubsub-message-id"], headers["x-goog-pubsub-subscription-name"]) == (made, name)
    assert headers["ce-type"] == "order"
    assert "x-goog-pubsub-publish-time" in headers
    assert not {"bad name", "split", "Evil"} & set(headers)
    assert headers["Host"].startswith("127.0.0.1")


@pins(
    "pubsub", "Push", "102, 200, 201, 202 and 204 acknowledge; anything else does not", documented="Push subscriptions"
)
@pytest.mark.parametrize("status", [200, 201, 202, 204, 102, 203, 206, 302, 400, 404, 429, 500, 503])
def test_only_some_answers_acknowledge(clients: Clients, status: int) -> None:
    length = "" if status in {102, 204} else "Content-Length: 0\r\n"
    with answering(f"HTTP/1.1 {status} X\r\n{length}\r\n") as (url, came):
        topic = clients.topic()
        name = clients.subscription(topic, push_config={"push_endpoint": url}, **POLICY)
        clients.send(topic, "x")
        assert came.acquire(timeout=10)
        idle(clients.place)
        waits = clients.core().backlogs[name].stats().undelivered
        assert waits == (0 if status in {102, 200, 201, 202, 204} else 1)
        clients.subscriber.delete_subscription(subscription=name)


class answering:  # noqa: N801 - reads as a function
    """An endpoint that answers everything with the same bytes; `came` counts the requests."""

    def __init__(self, answer: str) -> None:
        self.answer = answer.encode()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.came = threading.Semaphore(0)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer_all, args=(connection,), daemon=True).start()

    def answer_all(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                self.came.release()
                if self.answer:
                    connection.sendall(self.answer)

    def __enter__(self) -> tuple[str, threading.Semaphore]:
        return f"http://127.0.0.1:{self.server.getsockname()[1]}/", self.came

    def __exit__(self, *_: object) -> None:
        self.server.close()


@pins(
    "pubsub",
    "Push",
    "The acknowledgement deadline is a push's timeout: what is not answered by then is delivered again",
    documented="Push subscriptions",
)
def test_no_answer_within_the_deadline_is_a_refusal(clients: Clients) -> None:
    with answering("") as (url, came):
        topic = clients.topic()
        name = clients.subscription(topic, push_config={"push_endpoint": url}, ack_deadline_seconds=60, **POLICY)
        clients.send(topic, "x")
        assert came.acquire(timeout=10)
        clients.advance(59, wait=0.05)
        assert not came.acquire(blocking=False)
        clients.advance(12, wait=0.05)
        assert came.acquire(timeout=10), "60 s of deadline and 10 s of backoff have passed"
        clients.subscriber.delete_subscription(subscription=name)


@pins(
    "pubsub",
    "Ordering",
    "Push has one message of a key outstanding at a time: a refused one is delivered again before the next",
    documented="Order messages",
)
def test_a_refused_message_holds_up_its_key_only(clients: Clients, target: Target) -> None:
    topic = clients.topic()
    pushed(clients, topic, target, enable_message_ordering=True, **POLICY)
    target.script = [500]
    clients.send(topic, "a1", key="a")
    target.wait(1)
    clients.send(topic, "a2", "a3", key="a")
    clients.send(topic, "b1", key="b")
    target.wait(2)
    idle(clients.place)
    assert bodies(target) == ["a1", "b1"]
    clients.advance(10)
    assert bodies(target) == ["a1", "b1", "a1", "a2", "a3"]


@pins(
    "pubsub",
    "Push",
    "With an oidcToken a push carries an ID token of that account: e-mail, verified, audience (the endpoint where none "
    "is named), signed by the published keys, renewed before it ends. The service agent needs no token creator on the "
    "account, as in projects made since April 2021",
    documented="Authenticate push subscriptions; Cloud Run's page on Pub/Sub",
)
def test_pushes_carry_tokens_of_their_account(clients: Clients, target: Target) -> None:
    email = account(clients.place, f"p-{uuid.uuid4().hex[:8]}")
    topic = clients.topic()
    pushed(clients, topic, target, {"oidc_token": {"service_account_email": email}})
    pushed(clients, topic, target, {"oidc_token": {"service_account_email": email, "audience": "https://aud"}})
    clients.send(topic, "x")
    target.wait(2)
    clients.advance(3500)
    clients.send(topic, "y")
    keys = jwt.PyJWKClient(f"{clients.place.rest}/oauth2/v3/certs")
    claims = []
    for _, headers, _ in target.wait(4):
        raw = headers["Authorization"].removeprefix("Bearer ")
        key = keys.get_signing_key_from_jwt(raw).key
        options: Any = {"verify_aud": False, "verify_iat": False, "verify_exp": False}
        claims.append(jwt.decode(raw, key, ["RS256"], options=options))
    assert {claim["aud"] for claim in claims} == {f"{target.url}/push", "https://aud"}
    assert {(claim["email"], claim["email_verified"], claim["iss"]) for claim in claims} == {
        (email, True, "https://accounts.google.com")
    }
    ends = [claim["exp"] for claim in claims]
    assert min(ends[2:]) > max(ends[:2]), "the tokens were about to end"


def test_nothing_is_pushed_for_an_account_that_is_gone(clients: Clients, target: Target) -> None:
    email = account(clients.place, f"g-{uuid.uuid4().hex[:8]}")
    topic = clients.topic()
    name = pushed(clients, topic, target, {"oidc_token": {"service_account_email": email}}, **POLICY)
    call(clients.place, "DELETE", f"/v1/projects/{PROJECT}/serviceAccounts/{email}")
    clients.send(topic, "x")
    idle(clients.place)
    assert target.seen == []
    assert clients.core().backlogs[name].stats().undelivered == 1
    cloud = clients.place.cloud
    assert cloud is not None
    assert any(f"service account {email} does not exist" in event["message"] for event in cloud.log.events)


@pins(
    "pubsub",
    "Push",
    "An endpoint that comes, goes or changes takes effect at once: by UpdateSubscription or ModifyPushConfig",
    documented="ModifyPushConfig",
)
def test_endpoint_can_be_set_taken_back_and_changed(clients: Clients, target: Target) -> None:
    topic = clients.topic()
    name = clients.subscription(topic, **POLICY)
    clients.send(topic, "one")
    clients.subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": f"{target.url}/first"})
    target.wait(1)
    clients.subscriber.modify_push_config(subscription=name, push_config={"push_endpoint": f"{target.url}/second"})
    clients.send(topic, "two")
    target.wait(2)
    idle(clients.place)
    clients.subscriber.modify_push_config(subscription=name, push_config={})
    clients.send(topic, "three")
    assert [path for path, _, _ in target.seen] == ["/first", "/second"]
    assert clients.data(name) == ["three"]


@pins("pubsub", "Push", "Only what fits the subscription's filter is pushed", documented="Filter messages")
def test_filtered_messages_are_not_pushed(clients: Clients, target: Target) -> None:
    topic = clients.topic()
    name = pushed(clients, topic, target, filter='attributes.kind = "order"')
    clients.publisher.publish(topic=topic, data=b"no", kind="other").result(10)
    clients.publisher.publish(topic=topic, data=b"yes", kind="order").result(10)
    target.wait(1)
    idle(clients.place)
    assert bodies(target) == ["yes"]
    assert clients.core().backlogs[name].stats().undelivered == 0


@pins(
    "pubsub",
    "Push",
    "Without a retry policy a refusal stops the whole subscription for 100 ms, twice as long each time up to 60 s; "
    "every acknowledgement halves the next pause",
    documented="Push subscriptions (push backoff)",
    ours="the numbers between",
)
def test_refusals_pause_a_subscription_without_a_retry_policy(clients: Clients, target: Target) -> None:
    target.status = 500
    topic = clients.topic()
    name = pushed(clients, topic, target)
    clients.send(topic, "x")
    clients.advance(600)
    # 0.1 + 0.2 + ... + 51.2 s are ten pauses in 102.3 s; then one each minute: at 162.3, ..., 582.3 s.
    assert 18 <= len(target.seen) <= 20
    target.status = 200
    clients.advance(60)
    assert clients.core().backlogs[name].stats().undelivered == 0


@pins(
    "pubsub",
    "Push",
    "The window begins with 5 outstanding pushes, grows by one a success up to 3,000 and slower beyond, and halves "
    "with a failure",
    documented="Push subscriptions (delivery rate)",
    ours="the numbers below 3,000",
)
@given(ends=st.lists(st.booleans(), max_size=200))
def test_window_and_pause_stay_within_their_bounds(ends: list[bool]) -> None:
    window, pause = Window(), Pause()
    assert window.size == START
    now = 0.0
    for good in ends:
        before = window.size
        if good:
            window.succeeded(0.01)
            pause.succeeded()
            assert window.size == before + 1
        else:
            window.failed()
            pause.failed(now)
            assert window.size == max(1, before // 2)
            assert SHORTEST_PAUSE - 1e-6 <= pause.until - now <= LONGEST_PAUSE + 1e-6
            now = pause.until


def test_window_grows_slowly_beyond_three_thousand_and_falls_back() -> None:
    window = Window()
    for _ in range(3 * int(LINEAR_FROM)):
        window.succeeded(0.01)
    assert LINEAR_FROM < window.size <= LINEAR_FROM + 2
    for _ in range(1000):
        window.succeeded(5.0)
    assert window.size == LINEAR_FROM, "slow answers take back what was gained"


@pins(
    "pubsub",
    "Push",
    "What was under way when the cloud was killed is pushed again after its start",
    ours="at least once",
)
def test_pushes_go_on_after_a_kill(start: Any, target: Target) -> None:
    target.status = 500
    process = start("cloud")
    topic, name = f"projects/{PROJECT}/topics/paynow", f"projects/{PROJECT}/subscriptions/paynow-sub"

    door = Place(process.ports)
    call(door, "PUT", f"/v1/{topic}", {})
    backoff = {"minimumBackoff": "0.1s", "maximumBackoff": "0.1s"}
    body = {"topic": topic, "pushConfig": {"pushEndpoint": f"{target.url}/p"}, "retryPolicy": backoff}
    call(door, "PUT", f"/v1/{name}", body)
    ids = call(door, "POST", f"/v1/{topic}:publish", {"messages": [{"data": "eA=="}]})["messageIds"]
    target.wait(1)
    process.popen.kill()
    process.popen.wait()
    with target.came:
        before, target.status = len(target.seen), 200
    start("cloud")
    seen = target.wait(before + 1)
    assert [json.loads(seen[-1][2])["message"]["messageId"]] == ids
