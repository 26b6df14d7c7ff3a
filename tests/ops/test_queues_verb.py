"""`sluice queues`: nothing starts before every hop was let through, and nothing is touched that was not meant."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ops import app, place, specs
from ops.errors import CallFailed
from ops.home import Home
from ops.output import Output
from ops.queues import rests
from ops.queues.probe import Prober
from ops.queues.rests import Rests
from ops.queues.tasks import PROBE
from ops.stack import deploy

#: The sender that no queue leads to.
UNASKED = ("gchostpay4", "gchostpay4-news-queue")
SYSTEM = specs.load()


class Stack(place.Local):
    """This machine as the probe sees it, with hops that are refused in chosen rounds."""

    stack, project, region = "local", "p", "l"

    def __init__(self) -> None:
        self.queues = dict.fromkeys(SYSTEM.queues, "PAUSED")
        self.made: dict[str, list[str]] = {}
        self.refused: dict[str, list[int]] = {}
        self.round = -1
        self.runs: list[str] = []
        self.words: list[dict[str, Any]] = []
        self._turn = threading.Lock()

    def url(self, service: str, tag: str | None = None) -> str:
        assert tag is None
        return f"https://{service}"

    def logs(self, *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        return iter(self.words)

    def audit(self, *_: Any, **__: Any) -> None:
        """Takes an entry."""

    def call(self, api: str, method: str, path: str, body: Any = None, **_: Any) -> Any:
        assert api == "tasks"
        with self._turn:
            return self._call(method, path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        rest = path.removeprefix(f"{self.parent}/queues")
        if not rest:
            return {"queues": [{"name": f"x/{name}", "state": state} for name, state in self.queues.items()]}
        queue, _, task = rest.removeprefix("/").partition("/tasks")
        if not task and ":" in queue:
            name, _, verb = queue.partition(":")
            self.queues[name] = "RUNNING" if verb == "resume" else "PAUSED"
            return {}
        return self._task(method, queue, task.removeprefix("/"), body)

    def _task(self, method: str, queue: str, task: str, body: Any) -> Any:
        if method == "POST" and not task:
            run, *onward = body["task"]["httpRequest"]["headers"][PROBE].split()
            if run not in self.runs:
                self.runs.append(run)
                self.round += 1
            receiver = SYSTEM.queue(queue).receiver
            for name in onward:
                self.made.setdefault(name, []).append(f"probe-{run}-{receiver}")
            name = f"seed{sum(map(len, self.made.values()))}"
            self.made.setdefault(queue, []).append(name)
            return {"name": f"{self.parent}/queues/{queue}/tasks/{name}"}
        name = task.removesuffix(":run")
        if name not in self.made.get(queue, ()):
            raise CallFailed("gone", status=404)
        if method == "DELETE":
            self.made[queue].remove(name)
        elif method == "POST" and self.round not in self.refused.get(queue, ()):
            self.made[queue].remove(name)  # it arrived
        failed = {"code": 7, "message": "PERMISSION_DENIED(7): HTTP status code 403"}
        return {"lastAttempt": {"responseTime": "now", "responseStatus": failed}}

    @property
    def left(self) -> list[str]:
        return [name for names in self.made.values() for name in names]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()

    def of(stack: str) -> Stack:
        made.stack = stack
        return made

    monkeypatch.setattr(place, "of", of)
    monkeypatch.setattr(rests, "AT_ONCE", rests.Spread(2, 0.0, (0.0,)))
    return made


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def sluice(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, Any]:
        code = app.main(["queues", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_all_start_after_enough_good_rounds_and_no_probe_is_left(stack: Stack, sluice: Run) -> None:
    code, told = sluice("resume", "--all", "--probe")
    assert (code, told["rounds"]) == (0, 2)
    assert set(told["resumed"]) == set(SYSTEM.queues)
    assert set(stack.queues.values()) == {"RUNNING"}
    assert told["not_probed"] == [dict(zip(("sender", "queue"), UNASKED, strict=True))]
    assert stack.left == []
    assert len(stack.runs) == 2


def test_every_hop_is_gone_over_by_a_task_of_its_own_sender(stack: Stack) -> None:
    seeds = Prober(stack, SYSTEM, SYSTEM.queues)._seeds
    hops = {(sender, q.name) for q in SYSTEM.queues.values() for sender in q.senders} - {UNASKED}
    asked = {(SYSTEM.queue(seed).receiver, name) for seed, onward in seeds for name in onward}
    assert asked == hops


def test_a_good_round_counts_for_nothing_after_a_bad_one(stack: Stack, sluice: Run) -> None:
    stack.refused["hostpay-execution-queue"] = [1, 3]  # IAM does not spread at one moment for every server
    code, _ = sluice("resume", "--all", "--probe")
    assert (code, len(stack.runs)) == (0, 6)
    assert stack.left == []


def test_a_refused_hop_is_tried_no_oftener_than_alerts_leave_aside() -> None:
    now, tried = [0.0], [0.0]
    found: Rests[str] = Rests(rests.SLOWLY.waits, lambda: now[0])
    found.refused("q", "not yet")
    for now[0] in range(15, 7200, 15):
        if found.resting("q") is None:
            tried.append(now[0])
            found.refused("q", "not yet")
    assert tried[1] <= 30  # quick where spreading is
    assert max(later - at for at, later in pairwise(tried)) <= 300
    assert max(sum(at <= one < at + 600 for one in tried) for at in range(0, 7200, 15)) == 5


def test_a_hop_that_rests_is_left_alone_whoever_sends_over_it(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "AT_ONCE", rests.Spread(2, 0.0, (3600.0,)))
    stack.refused["hostpay-execution-queue"] = [0]
    prober = Prober(stack, SYSTEM, SYSTEM.queues)
    first, runs = prober.round(), stack.round
    assert [one.queue for one in first] == ["hostpay-execution-queue"]
    assert prober.round() == first  # it would go well now: nobody has tried
    assert stack.round == runs + 1
    assert stack.left == []


def test_nothing_starts_while_a_hop_is_refused_and_the_role_is_named(stack: Stack, sluice: Run) -> None:
    stack.refused["hostpay-execution-queue"] = list(range(99))
    stack.words = [{"jsonPayload": {"why": "The smallest binding that would allow it: this one"}}]
    code, told = sluice("resume", "--all", "--probe", "--timeout", "0s")
    assert code == 1
    assert set(stack.queues.values()) == {"PAUSED"}
    (one,) = told["error"]["refused"]
    assert one["why"] == "hostpay-execution-invoker may not call gchostpay yet (roles/run.invoker on it)"
    assert "this one" in told["error"]["what"]
    assert stack.left == [], "a refused probe would be dispatched when the queue starts"
    stack.refused.clear()
    assert sluice("resume", "--all", "--probe")[0] == 0


def test_one_queue_is_started_alone_and_what_runs_is_left_alone(stack: Stack, sluice: Run) -> None:
    code, told = sluice("resume", "hostpay-execution-queue", "--probe")
    assert (code, told["resumed"], told["running"]) == (0, ["hostpay-execution-queue"], [])
    assert [name for name, state in stack.queues.items() if state == "RUNNING"] == ["hostpay-execution-queue"]
    code, told = sluice("resume", "hostpay-execution-queue", "--probe")
    assert (told["resumed"], told["running"], len(stack.runs)) == ([], ["hostpay-execution-queue"], 2)


def test_a_dry_run_says_what_is_meant_and_changes_nothing(stack: Stack, sluice: Run) -> None:
    stack.queues["gcsplit2-queue"] = "RUNNING"
    assert "gcsplit2-queue" not in sluice("resume", "--all", "--dry-run")[1]["would_resume"]
    assert sluice("pause", "--all", "--dry-run")[1] == {"would_pause": ["gcsplit2-queue"]}
    assert stack.runs == []
    assert stack.queues["gcsplit2-queue"] == "RUNNING"


def test_pausing_is_of_what_is_named(stack: Stack, sluice: Run) -> None:
    stack.queues = dict.fromkeys(stack.queues, "RUNNING")
    assert sluice("pause", "gcsplit2-queue")[1]["paused"] == ["gcsplit2-queue"]
    assert [name for name, state in stack.queues.items() if state == "PAUSED"] == ["gcsplit2-queue"]


def test_a_pipeline_starts_what_its_apply_made_and_nothing_that_was_paused_before(
    stack: Stack, sluice: Run, tmp_path: Path
) -> None:
    file = tmp_path / "queues.json"
    new = stack.queues.pop("gcsplit2-queue")
    file.write_text(json.dumps(sluice("list")[1]))
    stack.queues["gcsplit2-queue"] = new
    assert sluice("resume", "--new-since", str(file), "--probe")[1]["resumed"] == ["gcsplit2-queue"]
    assert [name for name, state in stack.queues.items() if state == "RUNNING"] == ["gcsplit2-queue"]
    file.write_text("{}")
    code, told = sluice("resume", "--new-since", str(file))
    assert (code, "is no list of queues" in told["error"]["what"]) == (2, True)


@pytest.mark.parametrize(
    "words", [("--all",), ("gcsplit2-queue", "hostpay-execution-queue"), ("--new-since", "before the apply.json")]
)
def test_what_goes_on_after_a_refusal_is_what_was_meant_and_no_more(
    stack: Stack, sluice: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("before the apply.json").write_text('{"queues": {}}')
    stack.refused = {name: list(range(1000)) for name in SYSTEM.queues}
    code, told = sluice("resume", *words, "--probe", "--timeout", "0s", "--stack", "prod", "--yes", "--confirm", "prod")
    meant = " ".join(map(shlex.quote, words))
    assert (code, told["error"]["fix"].partition(" goes on")[0]) == (
        1,
        f"./sluice queues resume {meant} --probe --stack prod",
    )


@pytest.mark.parametrize(
    ("words", "said"), [((), "say which queues are meant"), (("--all", "gcsplit2-queue"), "is said twice")]
)
def test_which_queues_are_meant_must_be_said_once(stack: Stack, sluice: Run, words: tuple[str, ...], said: str) -> None:
    code, told = sluice("resume", *words)
    assert (code, said in told["error"]["what"]) == (2, True)
    assert stack.runs == []


def test_a_declared_queue_that_is_not_there_is_named_and_no_probe_goes_over_it(
    stack: Stack, sluice: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    del stack.queues["gcsplit2-queue"]
    assert sluice("list")[1]["declared_not_there"] == ["gcsplit2-queue"]
    assert app.main(["queues", "list"]) == 0
    assert re.search(r"gcsplit2-queue +declared, not there\n", capsys.readouterr().out)
    code, told = sluice("resume", "--all", "--probe")
    assert (code, told["error"]["what"]) == (1, "declared, not there: gcsplit2-queue")
    assert sluice("resume", "--all", "--probe", "--dry-run")[0] == 1
    assert stack.runs == []
    assert sluice("resume", "--all", "--dry-run")[1]["declared_not_there"] == ["gcsplit2-queue"]
    code, told = sluice("resume", "--all")
    assert (code, told["declared_not_there"]) == (0, ["gcsplit2-queue"])
    assert set(stack.queues.values()) == {"RUNNING"}


def test_a_stack_that_is_not_there_is_bad_usage_for_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = ["--stack", "nowhere"]
    for words in (["queues", "list"], ["preview"], ["cost"], ["ci", "--as", "deployer"], ["lint"], ["drift"]):
        assert app.main([*words, *nowhere]) == 2, words
        assert "there is no stack" in capsys.readouterr().err


def test_a_slip_in_a_name_is_told_the_nearest(stack: Stack, sluice: Run) -> None:
    code, told = sluice("resume", "gcsplit2-queu")
    assert (code, told["error"]["fix"]) == (2, "did you mean gcsplit2-queue?")
    assert set(stack.queues.values()) == {"PAUSED"}


def test_up_starts_what_it_made_and_nothing_that_somebody_paused(
    tmp_path: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "here", lambda _home: stack)
    home, out = Home(tmp_path), Output(as_json=True)
    fresh = deploy.Fresh(home)
    assert deploy.start_queues(home, SYSTEM, out) == []
    fresh.add("gcsplit2-queue")
    stack.refused["gcsplit2-queue"] = [0]
    assert deploy.start_queues(home, SYSTEM, out) == ["gcsplit2-queue"]
    assert [name for name, state in stack.queues.items() if state == "RUNNING"] == ["gcsplit2-queue"]
    assert fresh.names() == []
    assert deploy.start_queues(home, SYSTEM, out) == []


def test_an_up_that_was_cut_short_goes_on_with_what_it_made(tmp_path: Path, stack: Stack) -> None:
    fresh = deploy.Fresh(Home(tmp_path))
    for name in ("gcsplit2-queue", "hostpay-execution-queue"):
        fresh.add(name)
    assert deploy.Fresh(Home(tmp_path)).names() == ["gcsplit2-queue", "hostpay-execution-queue"]
