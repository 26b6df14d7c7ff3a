"""Beside a rollout, whether anybody walks it or not, nothing else is deployed, and its own verbs are offered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from ops import place as places
from ops.errors import OpsError
from ops.home import Home
from ops.output import Output
from ops.rollout import lock, traffic
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Store
from ops.stack import deploy, image
from ops.supervisor import control
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import call
from tests.ops.hands import Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


class Deployed(Exception):
    """The image was built: what comes then is a deployment."""


@pytest.fixture
def walked(at_hand: Hands, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hands]:
    """A rollout that stands at half, and `up` without a supervisor and without an image."""
    call(at_hand.place, "POST", f"/storage/v1/b?project={PROJECT}", {"name": f"{PROJECT}-sluice-rollout"})
    here = places.of("local")
    now = text(here.now())
    state = Rollout(
        id=identity("payout", here.now()), target="payout", kind=Kind.ROUTE, phase=Phase.PAUSED, percent=50, wanted=50,
        rules=Rules(steps=(50, 100), first_dwell=1, dwell=1, keep=1), who="them", began=now, since=now,
    )  # fmt: skip
    Store(here).write(state, Store(here).read()[1])

    def built(_home: Home) -> tuple[str, str]:
        raise Deployed

    monkeypatch.setattr(image, "build", built)
    monkeypatch.setattr(control, "start", lambda *_: False)
    yield at_hand
    bucket = f"{PROJECT}-sluice-rollout"
    for one in here.call("storage", "GET", f"b/{bucket}/o").get("items", []):
        here.call("storage", "DELETE", f"b/{bucket}/o/{quote(one['name'], safe='')}")
    here.call("storage", "DELETE", f"b/{bucket}")


def test_up_deploys_nothing_while_a_rollout_stands_that_nobody_walks(walked: Hands) -> None:
    with pytest.raises(OpsError, match="a rollout of payout is running in local: paused, at 50 %") as caught:
        deploy.up(Home(walked.home), Output(as_json=True))
    assert all(f"rollout {verb}" in caught.value.fix for verb in ("status", "resume", "pause", "abort"))


def test_up_brings_processes_back_after_a_restart_and_leaves_the_rest(
    walked: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "start", lambda *_: True)
    done = deploy.up(Home(walked.home), Output(as_json=True))
    assert (done["started"], done["writes"]) == (True, 0)
    assert "at 50 %" in done["not_deployed"]


def test_a_rollout_that_walks_is_named_before_its_lock(walked: Hands, sluice: Sluice) -> None:
    with lock.held(places.of("local"), "rollout of payout"):
        code, said = sluice("secrets", "rotate", "TPS_HOSTPAY_SIGNING_KEY")
        with pytest.raises(OpsError) as caught:
            deploy.up(Home(walked.home), Output(as_json=True))
    assert code == 1
    for fix in (said["error"]["fix"], caught.value.fix):
        assert "./sluice rollout status" in fix
        assert str(os.getpid()) not in fix


def test_up_goes_on_once_the_rollout_is_over(walked: Hands) -> None:
    here = places.of("local")
    found, generation = Store(here).read()
    assert found is not None
    Store(here).write(found.over(Phase.PROMOTED, here.now(), 100), generation)
    with pytest.raises(Deployed):
        deploy.up(Home(walked.home), Output(as_json=True))


def test_what_is_not_deployed_is_not_to_be_deployed_beside_a_rollout(walked: Hands) -> None:
    """`up` refuses there, so it is no advice until the rollout is over."""
    here = places.of("local")
    with pytest.raises(OpsError, match="the service gcsplit is not deployed") as caught:
        traffic.read(here, "gcsplit")
    assert "first end the rollout of payout" in caught.value.fix
    assert all(f"rollout {verb}" in caught.value.fix for verb in ("resume", "abort"))
    state, generation = Store(here).read()
    assert state is not None
    Store(here).write(state.over(Phase.ABORTED, here.now(), 0), generation)
    with pytest.raises(OpsError) as caught:
        traffic.read(here, "gcsplit")
    assert caught.value.fix == "./sluice up"
