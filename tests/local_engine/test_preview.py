"""A preview asks nobody, knows what can be known, and says what it compares with."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

from local_engine import Event, Op, render
from local_engine.values import UNKNOWN, Secret, from_struct, to_struct
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import StandIn
from tests.local_engine.test_run import payments, queue


def computed() -> None:
    account = gcp.serviceaccount.Account("a", account_id="caller")
    made = queue()
    gcp.projects.IAMMember("m", project="rec", role="roles/viewer", member=account.member)
    gcp.secretmanager.Secret("s", secret_id="S", replication={"auto": {}}, labels={"number": account.unique_id})
    pulumi.export("queue", made.id)
    pulumi.export("email", account.email)


def test_what_follows_from_names_is_known_and_the_rest_is_computed(engine: Engine, cloud: StandIn) -> None:
    result = engine(computed, "preview", offline=True)
    assert result.counts == {"create": 4}
    shown = render(result)
    assert '+ member: "serviceAccount:caller@rec.iam.gserviceaccount.com"' in shown
    assert "+ labels.number: <computed>" in shown
    assert "queue: <computed>" in shown
    assert result.outputs["email"] == "caller@rec.iam.gserviceaccount.com"
    assert result.as_json()["outputs"]["queue"] == "<computed>"
    assert cloud.calls == []


def test_it_says_what_it_compares_with(engine: Engine) -> None:
    assert engine(payments, "preview", offline=True).compared_with == "nothing (no saved state)"
    engine(payments)
    assert engine(payments, "preview", offline=True).compared_with == "the saved state"
    assert engine(payments, "preview").compared_with == "the saved state and the cloud"


def test_a_preview_changes_nothing(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    before = {path.name: path.read_bytes() for path in (engine.root / "engine" / "local").iterdir()}
    cloud.calls.clear()
    assert engine(lambda: payments(rate=99), "preview").counts == {"update": 1, "same": 2}
    assert engine(lambda: None, "preview").counts == {"delete": 3}
    assert cloud.written() == []
    assert {path.name: path.read_bytes() for path in (engine.root / "engine" / "local").iterdir()} == before


def test_what_an_apply_would_meet_is_what_it_does(engine: Engine) -> None:
    engine(payments)

    def program() -> None:
        queue(rate=30)
        queue(name="other")

    assert engine(program, "preview").counts == engine(program).counts == {"update": 1, "create": 1, "delete": 2}


def test_progress_is_told_as_it_happens(engine: Engine) -> None:
    events: list[Event] = []
    engine(payments, on_event=events.append)
    told = [(event.kind, event.step.op) for event in events if event.step.custom]
    assert told.count(("start", Op.CREATE)) == told.count(("done", Op.CREATE)) == 3
    assert all(event.step.seconds > 0 for event in events if event.kind == "done" and event.step.custom)


def test_colours_only_on_demand(engine: Engine) -> None:
    result = engine(payments, "preview")
    assert "\x1b[" not in render(result)
    assert "\x1b[32m" in render(result, colour=True)


def test_two_stacks_in_one_process_do_not_leak_into_one_another(engine: Engine) -> None:
    def program() -> None:
        pulumi.export("stack", pulumi.get_stack())
        pulumi.export("note", pulumi.Config("sluice").get("note"))

    first = engine(program, stack="one", overrides=engine.cloud.config() | {"sluice:note": "x"})
    second = engine(program, stack="two")
    assert first.outputs == {"stack": "one", "note": "x"}
    assert second.outputs == {"stack": "two"}
    assert gc.isenabled()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("program", "apply"))]


def test_a_stack_reads_what_another_exported(engine: Engine) -> None:
    engine(lambda: pulumi.export("key", pulumi.Output.secret("s3cret")), stack="below")

    def program() -> None:
        below = pulumi.StackReference("below", stack_name=f"{pulumi.get_organization()}/sluice/below")
        gcp.serviceaccount.Account("a", account_id="acct", display_name=below.require_output("key"))

    result = engine(program)
    assert result.ok, result.problems
    (account,) = engine.cloud.things.values()
    assert account["displayName"] == "s3cret"
    assert "s3cret" not in render(result)


@pytest.mark.parametrize("value", [1, 1.5, True, "a", [1, {"b": None}], {"c": Secret([UNKNOWN])}, UNKNOWN, Secret("x")])
def test_values_survive_the_protocol(value: Any) -> None:
    assert from_struct(to_struct({"v": value})) == {"v": value if value != [1, {"b": None}] else [1, {}]}


def test_resources_stand_under_their_component_of_the_stack_with_their_number(engine: Engine) -> None:
    def program() -> None:
        queue(name="alone")
        outer = pulumi.ComponentResource("sluice:components:Outer", "one")
        inner = pulumi.ComponentResource("sluice:components:Inner", "two", None, pulumi.ResourceOptions(parent=outer))
        for number, parent in enumerate((outer, inner)):
            opts = pulumi.ResourceOptions(parent=parent)
            gcp.serviceaccount.Account(f"a{number}", account_id=f"caller{number}", opts=opts)

    lines = render(engine(program, "preview", offline=True), detail=False).splitlines()
    assert [line.split()[-1] for line in lines[1:2]] == ["alone"]
    assert lines[2] == "Outer one: 2 resources"
    assert {line.split()[-1] for line in lines[3:5]} == {"a0", "a1"}
    assert lines[5:] == ["3 to create"]
