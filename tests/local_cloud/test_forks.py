"""The zygote's side of instances: nobody waits for one any more, or signals it in its first moment."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from local_cloud.engines.forks import ForkError, ForkServer, Image, Start
from local_cloud.engines.revisions import ForkServers, Plan, Revision
from tests.local_cloud.image import tiny_image, until


def children(pid: int) -> list[int]:
    """Processes of that parent that are not over."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return tiny_image(tmp_path)


@pytest.fixture
async def server(image: Image) -> AsyncIterator[ForkServer]:
    made = ForkServer(image)
    await made.start()
    yield made
    await made.stop()


def held_up(server: ForkServer) -> None:
    """Stop it as a busy machine would; it goes on at the next SIGCONT."""
    os.kill(server.pid, signal.SIGSTOP)


START = Start(title="sluice: fork", env={"PORT": "0"}, command=("sleep", "600"))


async def test_instance_that_comes_when_its_start_was_given_up_is_ended(server: ForkServer) -> None:
    held_up(server)
    starting = asyncio.create_task(server.fork(START, lambda *_: None))
    await until(lambda: bool(server._starting))
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    os.kill(server.pid, signal.SIGCONT)
    await until(lambda: not server._exits)
    assert children(server.pid) == []
    later = await server.fork(START, lambda *_: None)
    assert children(server.pid) == [later.pid], "the zygote serves on"


async def test_instance_of_a_revision_that_was_stopped_while_it_was_forked_is_ended(image: Image) -> None:
    servers = ForkServers()
    servers.register(image)
    server = await servers.get(image.digest)

    async def environment() -> Mapping[str, str]:
        return {}

    plan = Plan(name="r", title="sluice: r", environment=environment, min_instances=1)
    revision = Revision(plan, lambda: servers.get(image.digest), lambda *_: None)
    held_up(server)
    revision.warm()
    await until(lambda: bool(server._starting))
    await revision.stop()
    os.kill(server.pid, signal.SIGCONT)
    await until(lambda: not server._exits)
    assert children(server.pid) == []
    await servers.stop()


async def test_zygote_whose_start_was_given_up_is_ended(image: Image) -> None:
    servers = ForkServers()
    servers.register(image)
    before = set(children(os.getpid()))
    starting = asyncio.create_task(servers.get(image.digest))
    await until(lambda: bool(set(children(os.getpid())) - before))
    starting.cancel()
    await asyncio.wait([starting])
    await until(lambda: set(children(os.getpid())) <= before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_signal_is_lost_right_after_the_fork(server: ForkServer, number: signal.Signals) -> None:
    for _ in range(30):
        process = await server.fork(START, lambda *_: None)
        process.signal(number)
        await until(process.exited.done, patience=10)
        assert process.exited.result() == -number


async def test_nothing_is_kept_of_instances_whose_zygote_ended(server: ForkServer) -> None:
    process = await server.fork(START, lambda *_: None)
    os.kill(server.pid, signal.SIGKILL)
    await until(process.exited.done)
    with pytest.raises(ForkError):
        await server.fork(START, lambda *_: None)
    assert (server._starting, server._exits, server._broken) == ({}, {}, {})
