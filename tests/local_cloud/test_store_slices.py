"""The store writes on the event loop only what is small; what has come free is deleted in slices."""

import threading
from pathlib import Path
from typing import Any

import pytest

from local_cloud import tombstones
from local_cloud.rounds import ALONE_BYTES, Pace
from local_cloud.store import ALONE, Store


def writers(store: Store) -> list[str]:
    """The threads that commit, in their order, from now on."""
    found: list[str] = []
    commit = store._commit

    def noted(batch: Any) -> Exception | None:
        found.append(threading.current_thread().name)
        return commit(batch)

    store._commit = noted  # type: ignore[method-assign]
    return found


async def test_only_a_small_change_is_written_on_the_loop(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found, here = writers(store), threading.current_thread().name
    kept = store.json("things")

    async def by() -> str:
        await store.committed()
        store._pace = Pace()  # as after a while in which nothing was written
        return found[-1]

    kept["small"] = 1
    assert await by() == here
    kept["big"] = "x" * ALONE_BYTES
    assert await by() == "store"
    for n in range(ALONE + 1):
        store.tombstones.bury(f"name-{n}", until=9.0, now=0.0)
    kept["small"] = 2
    assert await by() == "store"
    store.tombstones.sweep(10.0)
    assert await by() == "store"
    kept["small"] = 3
    assert await by() == here
    await store.close()


async def test_names_come_free_in_slices_while_others_are_buried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    names = store.tombstones
    for n in range(1000):
        names.bury(f"name-{n}", until=100.0 if n % 10 else 300.0, now=0.0)
    await store.committed()
    monkeypatch.setattr(tombstones, "SLICE", 64)
    found = writers(store)
    names.sweep(200.0)
    names.bury("meanwhile", until=300.0, now=200.0)
    while store.pending:
        await store.committed()
    assert len(found) == 1001 // 64 + 1
    assert set(found) == {"store"}
    left = [f"name-{n}" for n in range(0, 1000, 10)]
    assert [name for name in (f"name-{n}" for n in range(1000)) if names.until(name)] == left
    assert names.until("meanwhile") == 300.0
    await store.close()
