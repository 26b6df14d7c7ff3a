"""`sluice alerts` against a local cloud: what is open, and what was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from ops import app
from tests.local_cloud.alerting.alerts_client import NAME, Alerts, alerts_at, limited, logged
from tests.local_cloud.cloud_places import Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import advance, call

Run = Callable[..., str]


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    with inside(tmp_path_factory.mktemp("alerts-verb") / "state") as place, alerts_at(place) as made:
        yield made


@pytest.fixture
def run(alerts: Alerts, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        assert app.main(["alerts", *arguments, "--cloud", alerts.place.rest]) == 0
        return capsys.readouterr().out

    return call


def write(place: Place, log: str) -> None:
    entry = {"logName": f"{NAME}/logs/{log}", "textPayload": "x", "resource": {"type": "global"}}
    call(place, "POST", "/v2/entries:write", {"entries": [entry]})


def test_incidents_are_shown_while_they_are_open_and_with_all_afterwards(alerts: Alerts, run: Run) -> None:
    assert run() == "no open incident; --all shows those that have ended\n"
    assert run("--all") == "no incident\n"
    strategy = limited(auto_close={"seconds": 1800})
    labels = {"runbook": "a-payment-is-dead"}
    dead = logged('logName:"/logs/dead"')
    alerts.policy("Payment died", dead, alert_strategy=strategy, severity="CRITICAL", user_labels=labels)
    alerts.policy("Wallet [low]", logged('logName:"/logs/low"'), alert_strategy=strategy)
    write(alerts.place, "dead")
    write(alerts.place, "low")
    shown = run()
    assert "open   Critical    Payment died: Log match condition fired for Global" in shown
    assert "docs/runbook.md#a-payment-is-dead" in shown
    assert "open   No severity Wallet [low]: " in shown
    assert "2 open incidents" in shown
    assert [one["policy"] for one in json.loads(run("--policy", "wallet", "--json"))] == ["Wallet [low]"]
    advance(alerts.place, 2000)
    assert "no open incident" in run()
    ended = run("--all", "--limit", "1")
    assert " to " in ended
    assert "closed No severity Wallet [low]: " in ended
