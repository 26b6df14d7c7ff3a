"""One attempt of the dispatcher: what leaves, and what counts as an answer."""

import asyncio

import pytest

from local_cloud.engines.backoff import RetryPolicy
from tests.fidelity import pins
from tests.local_cloud.dispatcher.room import HOSTPAY, Room
from tests.local_cloud.receiver import Receiver


@pins(
    "cloud_tasks",
    "Dispatch",
    "The headers of each attempt, and their values over six answers",
    observed="conformance record",
)
@pins(
    "cloud_tasks",
    "Dispatch",
    "Anything but 2xx is a failure; redirects are not followed",
    observed="conformance record",
)
async def test_headers_of_six_attempts_are_those_recorded_from_the_real_service(room: Room, there: Receiver) -> None:
    there.answers = [503, 404, 429, 500, 302, 200]
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "task-1", there.url + "/a?b=c", headers=[["x-MiXed", "Kept"], ["User-Agent", "mine"]])
    await room.clock.advance(30)
    assert [r.header("X-CloudTasks-TaskRetryCount") for r in there.requests] == ["0", "1", "2", "3", "4", "5"]
    assert [r.header("X-CloudTasks-TaskExecutionCount") for r in there.requests] == ["0", "0", "1", "2", "2", "3"]
    previous = [None, "503", "404", "429", "500", "302"]
    assert [r.header("X-CloudTasks-TaskPreviousResponse") for r in there.requests] == previous
    assert [r.header("X-CloudTasks-TaskRetryReason") for r in there.requests] == [None, "", "", "", "", ""]
    for request in there.requests:
        assert request.target == "/a?b=c"
        assert request.body == b"body"
        assert request.header("User-Agent") == "Google-Cloud-Tasks"
        assert request.header("X-CloudTasks-QueueName") == "q"
        assert request.header("X-CloudTasks-TaskName") == "task-1"
        assert request.header("x-MiXed") == "Kept"
        assert "content-type" not in {name.lower() for name, _ in request.headers}
        eta = request.header("X-CloudTasks-TaskETA")
        assert eta is not None
        assert len(eta.partition(".")[2]) == 6
        assert float(eta) < request.at + 0.001
    assert task.gone
    assert not queue.tasks


@pins(
    "cloud_tasks",
    "Dispatch",
    "After a missed deadline TaskPreviousResponse is 504, for App Engine 0; TaskRetryReason is empty, for App Engine "
    "`App Error` or, without an answer, `Instance Unavailable`",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins(
    "cloud_tasks",
    "Dispatch",
    "Dispatch deadline 15 s to 30 min, default 10 min, on the cloud's clock; then DEADLINE_EXCEEDED and retried",
    documented="Task.dispatch_deadline",
)
async def test_an_attempt_without_an_answer_by_its_deadline_is_tried_again(room: Room, there: Receiver) -> None:
    there.hold, room.deadline = asyncio.Event(), 0.2
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url)
    await there.arrived(1)
    await room.clock.settle()
    assert task.last is not None
    assert task.last.code == 4
    assert (task.dispatched, task.responses) == (1, 0)
    room.deadline, hold, there.hold = 600.0, there.hold, None
    await room.clock.advance(2)
    hold.set()
    second = there.requests[1]
    assert second.header("X-CloudTasks-TaskRetryReason") == ""
    assert second.header("X-CloudTasks-TaskPreviousResponse") == "504"
    assert task.gone


async def test_a_receiver_that_is_not_there_is_tried_again(room: Room, unused_tcp_port: int) -> None:
    queue = room.open(retry=HOSTPAY)
    task = room.add(queue, "t", f"http://127.0.0.1:{unused_tcp_port}/")
    await room.clock.advance(10)
    assert task.dispatched == 2
    assert task.last is not None
    assert (task.last.status, task.last.code) == (0, 14)


@pins(
    "cloud_tasks",
    "Tasks",
    "An account that is deleted or disabled later fails the attempts of its tasks: PERMISSION_DENIED",
    ours=True,
)
async def test_an_account_that_cannot_sign_fails_the_attempt_before_it_leaves(room: Room, there: Receiver) -> None:
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url, signed=True)
    await room.clock.settle()
    assert not there.requests
    assert task.last is not None
    assert "does not exist" in task.last.message


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_every_form_of_answer_ends_the_task(room: Room, there: Receiver, answer: bytes) -> None:
    there.answers = [answer]
    queue = room.open()
    tasks = [room.add(queue, f"t{index}", there.url) for index in range(3)]
    await there.arrived(3)
    await room.clock.settle()
    assert all(task.gone for task in tasks)


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\ncut"]
)
async def test_what_is_no_answer_is_a_failure(room: Room, there: Receiver, answer: bytes) -> None:
    there.answers = [answer, 200]
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url)
    await there.arrived(1)
    await room.clock.advance(5)
    assert task.gone
    assert len(there.requests) == 2


@pins(
    "front_end",
    "Operations, clock, state",
    "A move waits 10 s (real) for an attempt without an answer (`wait`), then goes on: its deadline fires by the moved "
    "clock; the answer counts what was not waited for",
    ours=True,
)
async def test_a_move_goes_on_over_attempts_that_hang(room: Room, there: Receiver) -> None:
    there.hold, room.deadline = asyncio.Event(), 600.0
    queue = room.open(retry=RetryPolicy(min_backoff=300, max_backoff=300))
    tasks = [room.add(queue, f"t{n}", there.url) for n in range(5)]
    await there.arrived(5)
    moved = await room.clock.advance(660, wait=0.3)
    assert moved.unsettled == {"attempt of queue q": 5}
    assert [outcome.code for outcome in room.notes.outcomes] == [4] * 5  # DEADLINE_EXCEEDED
    assert [task.dispatched for task in tasks] == [1] * 5
    assert (await room.clock.advance(300, wait=0.3)).unsettled == {"attempt of queue q": 5}
    assert len(there.requests) == 10
    there.hold.set()
    assert await room.clock.settle()
    assert all(task.gone for task in tasks)
