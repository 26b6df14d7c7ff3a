"""`sluice queues purge`: nothing is destroyed that is not in the file, and what follows is said before and after."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ops import app, specs
from ops.errors import OpsError
from ops.queues import aftermath
from ops.queues.calls import Calls
from tests.ops.hands import PAYING, SPLITS, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


def test_what_is_destroyed_is_in_the_file_whole_and_readable_by_its_owner_alone(
    at_hand: Hands, sluice: Sluice, tmp_path: Path
) -> None:
    ids, file = at_hand.names(3), tmp_path / "tasks.jsonl"
    at_hand.put(PAYING, *ids)
    before = at_hand.waiting(PAYING)
    code, told = sluice("queues", "purge", PAYING, "--export", str(file))
    assert (code, told["destroyed"], told["gone"], at_hand.waiting(PAYING)) == (0, 3, 0, {})
    assert "dead replay" in told["then"]
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert {one["name"].rpartition("/")[2]: one for one in kept} == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = at_hand.audits("queues purge")[0]
    assert (entry["subject"], entry["waiting"], entry["destroyed"], entry["export"]) == (PAYING, 3, 3, str(file))
    assert "secret" not in str(entry)


def test_what_is_created_after_the_export_stays_and_what_ends_meanwhile_is_counted(
    at_hand: Hands, sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, second, late] = at_hand.names(3)
    at_hand.put(PAYING, first, second)
    real, begun = Calls.delete, list[str]()

    def delete(self: Calls, task: str) -> bool:
        if not begun:
            begun.append(task)
            at_hand.put(PAYING, late)
            real(self, at_hand.path(PAYING, second))
        return real(self, task)

    monkeypatch.setattr("ops.queues.pace.AT_ONCE", 1)
    monkeypatch.setattr(Calls, "delete", delete)
    told = sluice("queues", "purge", PAYING, "--export", str(tmp_path / "x"))[1]
    assert (told["destroyed"], told["gone"]) == (1, 1)
    assert set(at_hand.waiting(PAYING)) == {late}


def test_a_purge_under_load_takes_none_that_is_not_in_the_file(at_hand: Hands, sluice: Sluice, tmp_path: Path) -> None:
    running, waiting, file = at_hand.names(10), at_hand.names(10), tmp_path / "x"
    at_hand.hold()
    at_hand.put(PAYING, *running)
    at_hand.put(PAYING, *waiting, after=3600)
    at_hand.steer(PAYING, "resume")
    at_hand.place.do(lambda _cloud: at_hand.receiver.arrived(10))
    code, told = sluice("queues", "purge", PAYING, "--export", str(file))
    at_hand.let_go()
    assert (code, told["destroyed"]) == (0, 20)
    at_hand.idle()
    kept = {json.loads(line)["name"].rpartition("/")[2] for line in file.read_text().splitlines()}
    assert kept == {*running, *waiting}
    assert at_hand.delivered() == dict.fromkeys(running, 1)


def test_a_purge_that_is_cut_short_has_the_rest_in_its_file_and_in_the_queue(
    at_hand: Hands, sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = at_hand.names(6)
    at_hand.put(PAYING, *ids)
    real, calls = Calls.delete, [0]

    def dying(self: Calls, task: str) -> bool:
        calls[0] += 1
        if calls[0] > 2:
            raise OpsError("killed")
        return real(self, task)

    monkeypatch.setattr("ops.queues.pace.AT_ONCE", 1)
    monkeypatch.setattr(Calls, "delete", dying)
    assert sluice("queues", "purge", PAYING, "--export", str(tmp_path / "1"))[0] == 1
    assert at_hand.audits("queues purge")[0]["destroyed"] == 2
    assert len(at_hand.waiting(PAYING)) == 4
    monkeypatch.setattr(Calls, "delete", real)
    assert sluice("queues", "purge", PAYING, "--export", str(tmp_path / "2"))[1]["destroyed"] == 4
    assert len((tmp_path / "1").read_text().splitlines()) == 6


def test_a_file_that_is_there_is_never_written_over_and_none_is_left_of_an_export_that_failed(
    at_hand: Hands, sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    at_hand.put(PAYING, *at_hand.names(1))
    code, told = sluice("queues", "purge", PAYING, "--export", str(file))
    assert (code, "is there already" in told["error"]["what"], file.read_text()) == (2, True, "mine")
    real = Calls.tasks

    def refused(self: Calls, queue: str, *, full: bool = False, **more: Any) -> Any:
        if full:
            raise OpsError("no cloudtasks.tasks.fullView")
        return real(self, queue, **more)

    monkeypatch.setattr(Calls, "tasks", refused)
    assert sluice("queues", "purge", PAYING, "--export", str(tmp_path / "new"))[0] == 1
    assert not (tmp_path / "new").exists()
    assert sluice("queues", "purge", PAYING, "--export", str(tmp_path / "no" / "folder"))[0] == 2
    assert len(at_hand.waiting(PAYING)) == 1


def test_a_purge_asks_says_what_follows_and_wants_a_word_about_the_export(
    at_hand: Hands, sluice: Sluice, capsys: pytest.CaptureFixture[str]
) -> None:
    at_hand.put(SPLITS, *at_hand.names(2), to="gcsplit", path="/process_split")
    assert sluice("queues", "purge", SPLITS)[0] == 2
    assert sluice("queues", "purge", SPLITS, "--export", "x", "--without-export")[0] == 2
    code, told = sluice("queues", "purge", SPLITS, "--without-export", yes=False)
    assert (code, told["error"]["fix"]) == (1, "add --yes")
    assert "Destroy 2 tasks of split-payment-queue in local?" in told["error"]["why"]
    assert "gcwebhook's sweeper puts each anew" in told["error"]["why"]
    assert sluice("queues", "purge", SPLITS, "--without-export", "--dry-run", yes=False)[1]["would_destroy"] == 2
    assert len(at_hand.waiting(SPLITS)) == 2
    assert app.main(["queues", "purge", SPLITS, "--without-export", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert "./sluice reconcile names what stands still" in shown
    assert at_hand.waiting(SPLITS) == {}
    assert sluice("queues", "purge", SPLITS, "--without-export")[1]["destroyed"] == 0


def test_what_was_exported_is_put_back_once_as_it_was(at_hand: Hands, sluice: Sluice, tmp_path: Path) -> None:
    ids, file = at_hand.names(3), tmp_path / "x"
    at_hand.put(PAYING, *ids[:2], tag="canary")
    at_hand.put(PAYING, ids[2], after=3600)
    before = at_hand.waiting(PAYING)
    assert sluice("queues", "purge", PAYING, "--export", str(file))[0] == 0
    assert sluice("queues", "restore", PAYING, str(file), "--dry-run", yes=False)[1]["would_restore"] == sorted(ids)
    assert sluice("queues", "restore", PAYING, str(file), yes=False)[0] == 1
    assert sluice("queues", "restore", PAYING, str(file))[1]["restored"] == 3
    after = at_hand.waiting(PAYING)
    assert {name.removesuffix("-moved"): one["httpRequest"] for name, one in after.items()} == {
        name: one["httpRequest"] for name, one in before.items()
    }
    assert after[f"{ids[2]}-moved"]["scheduleTime"] == before[ids[2]]["scheduleTime"]
    told = sluice("queues", "restore", PAYING, str(file))[1]
    assert (told["restored"], told["restored_before"]) == (0, 3)
    at_hand.steer(PAYING, "resume")
    at_hand.idle()
    assert at_hand.delivered() == dict.fromkeys(ids[:2], 1)
    assert [one["meant"] for one in at_hand.audits("queues restore")[:2]] == [3, 3]
    assert sluice("queues", "restore", SPLITS, str(file))[0] == 2
    file.write_text("mine")
    assert "is no export of tasks" in sluice("queues", "restore", PAYING, str(file))[1]["error"]["what"]


def test_what_follows_is_known_of_every_queue_that_the_specs_declare() -> None:
    queues = specs.load().queues.values()
    assert [queue.name for queue in queues if aftermath.of_queue(queue) == aftermath.UNKNOWN] == []
    assert set(aftermath.BY_MESSAGE) <= {queue.message for queue in queues}
    assert aftermath.of_queue(None) == aftermath.UNKNOWN
    texts = {queue.name: aftermath.of_queue(queue) for queue in queues}
    assert "dead 24h" in texts["gchostpay-status-check-queue"]
    assert "gcsplit sends each anew on its schedule" in texts["hostpay-execution-queue"]
