"""Revisions as processes: started when needed, as many as needed, gone when they should be."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from local_cloud.engines.instances import Instance, StartError
from local_cloud.engines.probes import Probe
from local_cloud.engines.revisions import ForkServers, NoInstanceError, Plan, Revision
from tests.fidelity import pins
from tests.local_cloud.image import tiny_image, until

pins(
    "run",
    "Instances",
    "Started by the first request, up to concurrency and maximum, a minimum kept warm, stopped after "
    "15 minutes without requests",
    documented="Autoscaling",
)


class Bench:
    """Revisions of the tiny image, and what they printed."""

    def __init__(self, folder: Path) -> None:
        self.servers = ForkServers()
        self.image = tiny_image(folder)
        self.servers.register(self.image)
        self.lines: list[tuple[str, str]] = []
        self.revisions: list[Revision] = []
        self.http = aiohttp.ClientSession()

    def revision(self, *, env: Mapping[str, str] | None = None, idle: float = 900, **plan: object) -> Revision:
        async def environment() -> Mapping[str, str]:
            return env or {}

        made = Plan(name="tiny-1", title="sluice: tiny tiny-1", environment=environment, **plan)  # type: ignore[arg-type]
        revision = Revision(made, lambda: self.servers.get(self.image.digest), self.heard, idle=idle)
        self.revisions.append(revision)
        return revision

    def heard(self, _instance: Instance, stream: str, text: str) -> None:
        self.lines.append((stream, text))

    async def post(self, instance: Instance, path: str, body: str = "") -> dict[str, object]:
        async with self.http.post(f"http://127.0.0.1:{instance.port}{path}", data=body) as answer:
            got: dict[str, object] = await answer.json()
            return got

    async def close(self) -> None:
        await self.http.close()
        await asyncio.gather(*(r.stop() for r in self.revisions))
        await self.servers.stop()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.close()


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


@pins(
    "run",
    "Instances",
    "PORT, K_SERVICE, K_REVISION, K_CONFIGURATION and the metadata server's address; nothing of the "
    "cloud's own environment",
    documented="Container contract",
    ours=True,
)
async def test_first_request_starts_an_instance_that_sees_only_what_was_declared(bench: Bench) -> None:
    os.environ["OF_THE_CLOUD_ITSELF"] = "hidden"
    revision = bench.revision(env={"K_SERVICE": "tiny"}, args=("tiny", "x"), probe=Probe(path="/health"))
    async with revision.request() as instance:
        seen = await bench.post(instance, "/env")
    env = seen["env"]
    assert isinstance(env, dict)
    assert env["K_SERVICE"] == "tiny"
    assert env["PORT"] == str(instance.port)
    assert "OF_THE_CLOUD_ITSELF" not in env
    assert seen["argv"] == ["tiny_app:main", "tiny", "x"]
    assert seen["pid"] == instance.pid
    assert ("stdout", "starting tiny x") in bench.lines
    assert title(instance.pid).startswith("sluice: tiny tiny-1")


async def test_concurrency_is_kept_and_instances_are_added_up_to_the_maximum(bench: Bench, tmp_path: Path) -> None:
    revision = bench.revision(concurrency=2, max_instances=2)
    door = tmp_path / "open"
    most = 0

    async def one() -> object:
        nonlocal most
        async with revision.request(patience=30) as instance:
            most = max(most, instance.in_flight)
            return (await bench.post(instance, "/wait", str(door)))["pid"]

    calls = [asyncio.create_task(one()) for _ in range(7)]
    await until(lambda: sum(i.in_flight for i in revision.instances) == 4)
    with pytest.raises(NoInstanceError):
        async with revision.request(patience=0.05):
            pass
    door.touch()
    assert len(set(await asyncio.gather(*calls))) == 2
    assert most == 2


def busy(revision: Revision) -> Instance:
    """An instance without a process, whose only place is taken."""
    instance = Instance("tiny-1", freeze=False)
    instance.state = "ready"
    instance.enter()
    revision.instances.append(instance)
    return instance


async def test_place_that_comes_as_a_requests_time_runs_out_is_not_lost(bench: Bench) -> None:
    revision = bench.revision(concurrency=1, max_instances=1)
    instance = busy(revision)

    async def ask() -> str:
        async with revision.request(patience=0) as found:
            return found.id

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)  # it waits, and its time is over at the loop's next turn
    instance.leave()
    revision._hand_out()
    assert await asking == instance.id
    assert instance.in_flight == 0


async def test_place_of_a_request_that_is_given_up_goes_to_the_next(bench: Bench) -> None:
    revision = bench.revision(concurrency=1, max_instances=1)
    instance = busy(revision)

    async def ask() -> str:
        async with revision.request(patience=30) as found:
            return found.id

    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    instance.leave()
    revision._hand_out()
    first.cancel()  # it has its place, and does not know yet
    assert await second == instance.id
    assert first.cancelled()
    assert instance.in_flight == 0


async def test_killed_instance_is_replaced_at_the_next_request(bench: Bench) -> None:
    revision = bench.revision()
    async with revision.request() as instance:
        first = instance.pid
        with pytest.raises(aiohttp.ClientError):
            await bench.post(instance, "/crash")
    await until(lambda: not revision.instances)
    async with revision.request() as instance:
        assert (await bench.post(instance, "/"))["pid"] != first


async def test_minimum_stays_warm_even_after_a_crash(bench: Bench) -> None:
    revision = bench.revision(min_instances=1)
    revision.warm()
    await until(lambda: any(i.state == "ready" for i in revision.instances))
    first = revision.instances[0].pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: any(i.state == "ready" and i.pid != first for i in revision.instances))
    revision.idle = 0
    revision.reap()
    assert [i.state for i in revision.instances] == ["ready"]


async def test_idle_instance_is_stopped(bench: Bench) -> None:
    revision = bench.revision(idle=0)
    async with revision.request() as instance:
        revision.reap()
        assert instance.state == "ready", "an instance at work is not idle"
    revision.reap()
    await until(lambda: not revision.instances)
    assert gone(instance.pid)


async def test_instance_that_ends_at_start_fails_its_requests_with_the_reason(bench: Bench) -> None:
    revision = bench.revision(env={"FAIL_AT_START": "1"})
    with pytest.raises(StartError, match=r"Container called exit\(3\)"):
        await revision.check()
    await until(lambda: ("stdout", "no configuration") in bench.lines)


async def test_start_that_fails_unforeseen_fails_its_requests_and_leaves_no_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    forked: list[int] = []

    async def broken(instance: Instance, *_: object) -> None:
        forked.append(instance.pid)
        raise KeyError("unforeseen")

    monkeypatch.setattr(Instance, "_until_ready", broken)
    revision = bench.revision()
    with pytest.raises(StartError, match="KeyError: 'unforeseen'"):
        await asyncio.wait_for(revision.check(), 30)
    assert not revision.instances
    assert told == ["An instance's start failed unforeseen"]
    await until(lambda: all(gone(pid) for pid in forked))


@pins(
    "run",
    "Instances",
    "The startup probe is tried every 10 ms; period times threshold is the time limit",
    ours=True,
)
async def test_unready_instance_is_given_up_after_the_probes_patience(bench: Bench) -> None:
    revision = bench.revision(probe=Probe(path="/teapot", patience=0.3))
    with pytest.raises(StartError, match="startup probe"):
        await revision.check()
    await until(lambda: not revision.instances)


async def test_frozen_instance_has_no_cpu_outside_requests(bench: Bench) -> None:
    revision = bench.revision(freeze=True)
    async with revision.request() as instance:
        await bench.post(instance, "/")
    state = Path(f"/proc/{instance.pid}/stat")
    await until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T")
    async with revision.request() as again:
        assert (await bench.post(again, "/"))["pid"] == instance.pid


async def test_zygote_that_was_killed_takes_its_instances_along_and_is_replaced(bench: Bench) -> None:
    revision = bench.revision()
    async with revision.request() as instance:
        pass
    zygote = await bench.servers.get(bench.image.digest)
    os.kill(zygote.pid, signal.SIGKILL)
    await until(lambda: gone(instance.pid))
    await until(lambda: not revision.instances)
    async with revision.request() as again:
        assert again.pid != instance.pid


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    tiny_image(tmp_path)
    program = """
        import asyncio, sys
        from pathlib import Path
        from tests.local_cloud.image import tiny_image
        from local_cloud.engines.revisions import ForkServers, Plan, Revision
        async def main():
            servers, image = ForkServers(), tiny_image(Path(sys.argv[1]))
            servers.register(image)
            async def environment(): return {}
            plan = Plan(name="r", title="sluice: r", environment=environment)
            revision = Revision(plan, lambda: servers.get(image.digest), lambda *_: None)
            async with revision.request() as instance:
                print((await servers.get(image.digest)).pid, instance.pid, flush=True)
                await asyncio.sleep(3600)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 2
    assert not any(gone(pid) for pid in pids)
    owner.kill()
    owner.wait()
    asyncio.run(until(lambda: all(gone(pid) for pid in pids)))
