"""What lint reads out of code: work that outlives the answer, queues that are sent to, what no code names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spec import Finding, load
from spec.checks.after_response import left_running
from spec.tree import Tree
from tests.spec.lint_pages import ROOT, Example, found

INTAKE, CASHIER = "service_code/intake/app.py", "service_code/cashier/app.py"
NAMES = 'NAMES = ["order-queue", "news", "SIGNING_KEY", "CURRENCY"]\n'

POOL = "    from concurrent.futures import ThreadPoolExecutor\n"
WAITED_FOR = {
    "awaited": "    await asyncio.create_task(work())",
    "gathered": "    await asyncio.gather(*(asyncio.create_task(work(one)) for one in range(3)))",
    "awaited by its name": "    task = asyncio.create_task(work())\n    await other()\n    await task",
    "waited for with others": "    tasks = [asyncio.create_task(work())]\n    await asyncio.wait(tasks)",
    "in a group": "    async with asyncio.TaskGroup() as group:\n        group.create_task(work())",
    "awaited by a name with a type": "    task: asyncio.Task[int] = asyncio.create_task(work())\n    await task",
    "named in passing": "    await other(task := asyncio.create_task(work()))\n    await task",
    "appended": "    tasks.append(asyncio.create_task(work()))\n    await asyncio.gather(*tasks)",
    "added by its name": "    t = asyncio.create_task(work())\n    tasks.add(t)\n    await asyncio.wait(tasks)",
    "of a dict": "    tasks[1] = asyncio.create_task(work())\n    await asyncio.gather(*tasks.values())",
    "one after the other": "    ts = [asyncio.create_task(work())]\n    for t in ts:\n        await t",
    "as it comes": "    ts = {asyncio.create_task(work())}\n    for t in asyncio.as_completed(ts):\n        await t",
    "an attribute": "    self.task = asyncio.create_task(work())\n    await self.task",
    "appended to an attribute": "    self.ts.append(asyncio.create_task(work()))\n    await asyncio.gather(*self.ts)",
    "in a group of an attribute": "    async with asyncio.TaskGroup() as self.g:\n        self.g.create_task(work())",
    "in a group on a stack": (
        "    group = await stack.enter_async_context(asyncio.TaskGroup())\n    group.create_task(work())"
    ),
    "in the caller's group": "    async def one(group: asyncio.TaskGroup):\n        group.create_task(work())",
    "in a pool": f"{POOL}    with ThreadPoolExecutor() as pool:\n        found = pool.submit(work)\n    found.result()",
    "in a pool, by result": f"{POOL}    futures = [POOL.submit(work)]\n    return [one.result() for one in futures]",
    "in a pool, with others": f"{POOL}    futures = [POOL.submit(work)]\n    concurrent.futures.wait(futures)",
    "a joined thread": "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()",
    "a process in a with": "    with subprocess.Popen(['true']) as process:\n        pass",
    "in an inner function": "    async def one():\n        await asyncio.create_task(work())\n    await one()",
}
LEFT = {
    "dropped": "    asyncio.create_task(work())",
    "kept in a set": "    tasks.add(asyncio.create_task(work()))",
    "named and never awaited": "    task = asyncio.create_task(work())\n    task.add_done_callback(done)",
    "awaited elsewhere": "    task = asyncio.create_task(work())\n    async def one():\n        await task",
    "an attribute that is not awaited": "    self.task = asyncio.create_task(work())\n    await self.other()",
    "only its result is looked at": "    task = asyncio.create_task(work())\n    return task.result()",
    "appended beside what is awaited": "    tasks.append(asyncio.create_task(work()))\n    await gather(*others)",
    "in a pool that nobody waits for": f"{POOL}    POOL.submit(work)",
    "in a pool that is closed elsewhere": f"{POOL}    pool = ThreadPoolExecutor()\n    pool.submit(work)",
    "of a loop": "    asyncio.get_running_loop().call_later(5, work)",
    "of a framework": "    background.add_task(work)  # a BackgroundTasks",
    "a thread": "    import threading\n    threading.Thread(target=work).start()",
}


def started(tmp_path: Path, body: str) -> list[str]:
    (tmp_path / "app.py").write_text(f"import asyncio\n\n\nasync def take():\n{body}\n")
    return [call.name for call in left_running(Tree(tmp_path), Path("app.py"))]


@pytest.mark.parametrize("way", WAITED_FOR)
def test_work_that_is_waited_for_is_taken(tmp_path: Path, way: str) -> None:
    assert started(tmp_path, WAITED_FOR[way]) == []


@pytest.mark.parametrize("way", LEFT)
def test_work_that_is_left_running_is_found_once(tmp_path: Path, way: str) -> None:
    assert len(started(tmp_path, LEFT[way])) == 1


def lint(tmp_path: Path, **files: str) -> list[Finding]:
    paths = {"intake": INTAKE, "cashier": CASHIER, "spec": "service_code/intake/service.yaml"}
    return list(found([Example(paths[name], text, whole=False) for name, text in files.items()], tmp_path / "project"))


LOOSE = f"import asyncio\n\n{NAMES}\n\nasync def take():\n    asyncio.create_task(work())\n"


def test_a_service_that_keeps_its_cpu_may_work_in_the_background(tmp_path: Path) -> None:
    assert lint(tmp_path, intake=LOOSE, spec="cpu_always: true\n") == []


def test_the_place_of_work_that_is_left_running_is_shown(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path, intake=LOOSE)
    assert str(finding.where) == f"{INTAKE}:7:5"
    assert "intake has no CPU between requests" in finding.what


@pytest.mark.parametrize(
    "send", ['Next("late-queue", order)', "Forward(LATE, order, key)", "Send(queue=LATE, message=order)"]
)
def test_a_queue_that_a_service_may_not_send_to_is_found_by_name_and_by_constant(tmp_path: Path, send: str) -> None:
    code = f'{NAMES}EARLY, LATE = "order-queue", "late-queue"\n\n\nasync def take(order):\n    return {send}\n'
    (finding,) = lint(tmp_path, intake=code)
    assert (finding.rule, finding.where.line) == ("SL309", 6)
    assert "did you mean" in finding.fix or "use one of" in finding.fix


def test_code_of_the_kit_counts_for_those_who_import_it(tmp_path: Path) -> None:
    kit = Example("service_code/kit/names.py", NAMES, whole=False)
    code = Example(INTAKE, "from service_code.kit import names\n", whole=False)
    assert found([kit, code], tmp_path / "imported") == ()
    nothing = Example(INTAKE, "import os\n", whole=False)
    assert {finding.rule for finding in found([kit, nothing], tmp_path / "alone")} == {"SL310"}


def test_code_that_is_no_python_is_passed_over(tmp_path: Path) -> None:
    assert lint(tmp_path, intake=f"{NAMES}asyncio.create_task(\n") == []


def test_the_attempts_that_a_worker_counts_are_those_of_its_code() -> None:
    queue = load(ROOT).queue("gchostpay3-retry-queue")
    code = (ROOT / "service_code/gchostpay3/failing.py").read_text()
    assert re.findall(r"^ATTEMPTS = (\d+)$", code, re.M) == [str(queue.worker_attempts)]
