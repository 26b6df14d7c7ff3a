"""Every alert policy fires when it should, is silent just below, and is heard by those whom its severity concerns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spec.boards import MOST_WIDGETS
from tests.dashboards.page import system
from tests.dashboards.scenarios import DEAD, EVENTS, SCENARIOS, a_busy_minute
from tests.dashboards.stage import Stage, staged
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.dashboard_series import empty_widgets

#: They fire for what the cloud counts: no service of theirs runs on this stage, which would log beside it.
WORDLESS = {"task-failures", "service-errors", "paynow-backlog", "paynow-lag", "sweeper-silent"}


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One cloud a test process."""
    with staged(tmp_path_factory.mktemp("stage")) as made:
        made.subscription(EVENTS)
        made.subscription(DEAD)
        yield made


def test_every_alert_has_its_scenario() -> None:
    assert {name.partition(":")[0] for name in SCENARIOS} == set(system().alerts)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_fires_when_it_should_and_not_before_and_the_right_people_hear(stage: Stage, name: str) -> None:
    scenario, alert = SCENARIOS[name], name.partition(":")[0]
    stage.passes(scenario.apart)
    while stage.incidents(alert, "open"):  # what another scenario has set off closes by itself
        stage.passes(70)
    stage.minute_begins()
    before = {one["id"] for one in stage.incidents(alert)}
    scenario.quiet(stage)
    assert [one for one in stage.incidents(alert) if one["id"] not in before] == []
    stage.passes(scenario.apart)
    stage.minute_begins()
    scenario.loud(stage)
    fired = [one for one in stage.incidents(alert) if one["id"] not in before]
    assert fired
    stage.passes(0)  # what is to be told has been told
    severity = system().alerts[alert].severity
    concerned = {name for name, takes in stage.channels.items() if severity in takes}
    assert concerned
    assert [stage.told(one) for one in fired] == [concerned] * len(fired)
    if (first := stage.first(fired[-1])).startswith("./sluice logs") and alert not in WORDLESS:
        assert stage.shown(first), f"whoever is woken sees nothing: {first}"


def test_every_chart_of_the_boards_shows_something_where_something_happens(stage: Stage) -> None:
    a_busy_minute(stage)
    found = stage.call("GET", "/v1/projects/sluice-local/dashboards")["dashboards"]
    assert len(found) == len(system().boards)
    assert stage.place.cloud is not None
    now = stage.place.cloud.now()
    empty = {one["displayName"]: empty_widgets(stage.place.rest, PROJECT, one, now) for one in found}
    assert {board: widgets for board, widgets in empty.items() if widgets} == {}
    assert all(0 < len(one["gridLayout"]["widgets"]) <= MOST_WIDGETS for one in found)
