"""`sluice logs` against a local cloud: a payment's way into its batch, and what is said where nothing fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import app, clouds
from ops.cloud import Cloud, LocalCloud
from ops.errors import CallFailed
from ops.home import Home
from ops.verbs import logs
from tests.local_cloud.cloud_places import Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import call

Run = Callable[..., str]


class StackCloud(LocalCloud):
    """A cloud as a stack's, with a service deployed in it."""

    def __init__(self, url: str) -> None:
        Cloud.__init__(self, url)
        self.home = Home(Path("/nowhere"))

    def status(self) -> dict[str, Any]:
        return {**super().status(), "services": {"gcsplit": {}, "gchostpay": {}}}


class Entry:
    """Stands for the entry service: one payment in a batch, one without, and none of any other id."""

    def __init__(self, _home: Home) -> None:
        pass

    def call(self, _method: str, _service: str, path: str) -> Any:
        if path == "/payments/pay1":
            return {"accumulation": {"batch_id": "batch1"}}
        if path == "/payments/pay2":
            return {"accumulation": None}
        raise CallFailed("answered 404", status=404)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("logs-verb") / "state") as made:
        entries = [
            {
                "logName": "projects/sluice-local/logs/stdout",
                "resource": {"type": "global"},
                "jsonPayload": {"message": f"entry of {one}", "unique_id": one},
            }
            for one in ("pay1", "pay2", "batch1")
        ]
        call(made, "POST", "/v2/entries:write", {"entries": entries})
        yield made


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(clouds, "find", lambda _url: StackCloud(place.rest))
    monkeypatch.setattr(logs, "Operator", Entry)

    def run_(*arguments: str, code: int = 0) -> str:
        assert app.main(["logs", *arguments]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run_


def test_a_payment_is_followed_into_its_batch(run: Run) -> None:
    shown = run("--payment", "pay1")
    assert "entry of pay1" in shown
    assert "entry of batch1" in shown
    assert "entry of pay2" not in shown
    assert shown.splitlines()[-1] == "pay1 is paid with the batch batch1, whose entries are among these"
    assert {one["jsonPayload"]["unique_id"] for one in json.loads(run("--payment", "pay1", "--json"))} == {
        "pay1",
        "batch1",
    }
    alone = run("--payment", "pay2", "--filter", 'jsonPayload.unique_id="batch1" OR severity>=DEFAULT')
    assert len(alone.splitlines()) == 1


def test_no_entries_are_said(run: Run) -> None:
    assert run("--payment", 'no "such') == 'no entries for the payment no "such\n'
    assert run("--service", "gcsplit") == "no entry fits\n"
    assert json.loads(run("--payment", "nosuch", "--json")) == []


def test_a_service_or_filter_that_is_none_is_refused(run: Run) -> None:
    refused = run("--service", "nosuch", code=2)
    assert "there is no service nosuch" in refused
    assert "use one of: gchostpay, gcsplit" in refused
    refused = run("--filter", "(((", code=2)
    assert "Unparseable filter: syntax error at line 1, column 4" in refused
    assert "POST" not in refused
