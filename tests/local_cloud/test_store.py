"""What was acknowledged is on disk, and comes back; what is broken is said and left alone."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from local_cloud.store import StateError, Store
from local_cloud.tombstones import SWEEP_EVERY
from tests.local_cloud.cloud_places import ROOT


async def test_a_reopened_store_has_what_was_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = store.json("things")
    kept["a"] = {"n": 1}
    kept["b"] = [2]
    await store.committed()
    kept["a"]["n"] = 3
    kept.save("a")
    del kept["b"]
    kept["c"] = None
    await store.close()
    store = Store(tmp_path)
    assert store.json("things").items() == [("a", {"n": 3}), ("c", None)]
    await store.close()


async def test_a_document_that_came_and_went_between_two_commits_costs_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = store.json("things")
    kept["a"] = 1
    assert kept.pop("a") == 1
    kept["b"] = 2
    await store.committed()
    kept.pop("b")
    kept["b"] = 3
    await store.committed()
    assert kept.pop("nothing") is None
    await store.close()
    store = Store(tmp_path)
    assert store.json("things").items() == [("b", 3)]
    await store.close()


async def test_many_waiters_share_a_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = store.json("things")
    transactions = 0

    def count(statement: str) -> None:
        nonlocal transactions
        transactions += statement == "COMMIT"

    store._connection.set_trace_callback(count)

    async def write(n: int) -> None:
        kept[str(n)] = n
        await store.committed()

    await asyncio.gather(*(write(n) for n in range(500)))
    assert not store.pending
    assert transactions < 5
    await store.close()


async def test_a_value_that_cannot_be_encoded_stops_the_store_and_says_so(tmp_path: Path) -> None:
    failures: list[Exception] = []
    store = Store(tmp_path, failures.append)
    store.json("things")["a"] = object()
    with pytest.raises(StateError, match="can no longer be written"):
        await store.committed()
    assert failures
    await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from local_cloud.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    kept = store.json("things")
    async def write(worker):
        n = 0
        while True:
            key = f"{worker}-{n}"
            kept[key] = n
            if n % 3 == 2:
                kept.pop(f"{worker}-{n - 1}")
            await store.committed()
            print(key, flush=True)
            n += 1
    await asyncio.gather(*(write(w) for w in range(8)))
asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 40, 333])
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path, after: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(after)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in child.stdout.read().split("\n") if line.endswith(tuple("0123456789"))]
    child.wait()
    asyncio.run(check(tmp_path / "state", acknowledged))


async def check(state: Path, acknowledged: list[str]) -> None:
    store = Store(state)
    kept = store.json("things")
    last: dict[str, int] = {}
    for key in acknowledged:
        worker, _, number = key.partition("-")
        last[worker] = max(last.get(worker, -1), int(number))
    for name, highest in last.items():
        for n in range(highest + 1):
            if n % 3 != 1:
                assert kept[f"{name}-{n}"] == n
            elif n < highest:  # removed with its successor; of the last one the removal may be there or not
                assert f"{name}-{n}" not in kept
    await store.close()


async def test_a_second_process_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StateError, match=rf"in use by the local cloud with pid {os.getpid()}"):
        Store(tmp_path)
    await store.close()
    await Store(tmp_path).close()


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_a_damaged_state_is_refused_and_left_as_it_is(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "state.db").write_bytes(damage)
    with pytest.raises(StateError, match=r"state\.db is not readable"):
        Store(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == damage


async def test_a_document_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.collection("things", encode=str.encode, decode=bytes.decode)["key"] = "no json"
    await store.close()
    store = Store(tmp_path)
    with pytest.raises(StateError, match="the document 'key' of 'things' cannot be read"):
        store.json("things")
    await store.close()


async def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="newer version"):
        Store(tmp_path)


async def test_a_hundred_thousand_documents_load_quickly(tmp_path: Path) -> None:
    import time

    store = Store(tmp_path)
    kept: Any = store.collection("things", encode=orjson.dumps, decode=bytes)
    for n in range(100_000):
        kept[f"projects/p/locations/l/queues/q/tasks/{n}"] = {"n": n, "body": "x" * 200}
    await store.close()
    began = time.process_time()
    store = Store(tmp_path)
    assert len(store.collection("things", encode=orjson.dumps, decode=bytes)) == 100_000
    assert time.process_time() - began < 5  # CPU, not the wall's time: 0.4 s on an idle machine
    await store.close()


async def test_a_lone_change_is_on_disk_when_its_flush_returns_and_tells_before_the_waiters(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, told = store.json("things"), []

    async def wait() -> None:
        await store.committed()
        told.append("waiter")

    kept["a"] = 1
    store.after_commit(lambda: told.append("callback"))
    waiting = asyncio.ensure_future(wait())
    await waiting
    assert told == ["callback", "waiter"]
    store.after_commit(lambda: told.append("nothing to write"))
    await asyncio.sleep(0)
    assert told[-1] == "nothing to write"
    await store.close()


async def test_used_names_stay_refused_over_a_restart_and_come_free_by_the_clouds_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = store.tombstones
    names.bury("a", until=100.0, now=0.0)
    assert names.until("a") == 100.0
    await store.committed()
    assert (names.until("a"), names.until("b")) == (100.0, 0.0)
    await store.close()
    store = Store(tmp_path)
    names = store.tombstones
    names.bury("b", until=200.0, now=50.0)
    assert (names.until("a"), names.until("b")) == (100.0, 200.0)
    names.sweep(150.0)
    await store.committed()
    assert (names.until("a"), names.until("b")) == (0.0, 200.0)
    await store.close()


async def test_many_used_names_are_swept_without_being_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for n in range(SWEEP_EVERY):
        store.tombstones.bury(f"old-{n}", until=float(n), now=0.0)
    await store.committed()
    for n in range(SWEEP_EVERY):
        store.tombstones.bury(f"new-{n}", until=1e9, now=1e6)
    await store.committed()
    assert store.tombstones.until("old-9") == 0.0
    assert store.tombstones.until(f"new-{SWEEP_EVERY - 1}") == 1e9
    await store.close()


async def test_names_of_a_state_of_version_1_are_taken_over(tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute(
        "CREATE TABLE docs (id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL)"
    )
    connection.execute("INSERT INTO docs VALUES (1, 'cloudtasks.names', 'q/tasks/t', '300.5')")
    connection.execute("INSERT INTO docs VALUES (2, 'things', 'a', '1')")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    store = Store(tmp_path)
    assert store.tombstones.until("q/tasks/t") == 300.5
    assert store.json("things").items() == [("a", 1)]
    await store.close()
