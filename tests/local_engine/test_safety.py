"""What must not happen: a deletion of what is protected, a secret in clear, a call for a program that is wrong."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

from local_engine import ForeignOwnerError, StateBusyError, render
from local_engine.state import opened
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import StandIn
from tests.local_engine.test_run import payments, queue

CLEAR = "correct-horse-battery"


def version(data: Any = CLEAR) -> None:
    secret = gcp.secretmanager.Secret("key", secret_id="KEY", replication={"auto": {}})
    made = gcp.secretmanager.SecretVersion("key-1", secret=secret.id, secret_data=data)
    pulumi.export("number", made.version)
    pulumi.export("data", made.secret_data)


def saved(engine: Engine) -> str:
    return "".join(path.read_text() for path in (engine.root / "engine" / "local").iterdir())


def test_secrets_reach_the_cloud_and_never_the_state_nor_the_diff(engine: Engine, cloud: StandIn) -> None:
    result = engine(version)
    assert result.outputs["number"] == "1"
    assert CLEAR not in saved(engine)
    assert CLEAR not in render(result) + str(result.as_json())
    assert "[secret]" in render(result)
    assert cloud.things["projects/rec/secrets/KEY/versions/1"]["data"] == "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
    assert engine(version).writes == 0


def test_a_changed_secret_is_seen_as_changed_and_not_shown(engine: Engine) -> None:
    engine(version)
    planned = engine(lambda: version("another"), "preview")
    assert planned.counts == {"same": 1, "replace": 1}
    assert "~ secretData: [secret] => [secret]  (forces replacement)" in render(planned)
    assert "another" not in render(planned) + str(planned.as_json())


def test_a_secret_of_the_program_stays_one_wherever_it_flows(engine: Engine) -> None:
    def program() -> None:
        gcp.serviceaccount.Account("a", account_id="acct", display_name=pulumi.Output.secret(CLEAR))

    result = engine(program)
    assert result.ok, result.problems
    assert CLEAR not in saved(engine) + render(result)


def test_protected_things_are_not_deleted_and_nothing_else_happens(engine: Engine, cloud: StandIn) -> None:
    engine(lambda: void(queue(protect=True)))
    cloud.calls.clear()
    result = engine(lambda: void(queue(name="other")))
    assert "is protected and would be deleted" in str(result.problems[0])
    assert "protect=False" in str(result.problems[0])
    assert cloud.calls == []
    refused = engine(lambda: None, "destroy")
    assert not refused.ok
    assert cloud.calls == []


def test_protection_guards_against_replacement_too(engine: Engine, cloud: StandIn) -> None:
    def program(location: str) -> None:
        gcp.cloudtasks.Queue("q", name="q", location=location, opts=pulumi.ResourceOptions(protect=True))

    engine(lambda: program("us-central1"))
    result = engine(lambda: program("europe-west1"))
    assert not result.ok
    assert len(cloud.things) == 1


def test_deletion_protection_is_the_providers(engine: Engine, cloud: StandIn) -> None:
    def program() -> None:
        gcp.sql.DatabaseInstance(
            "db", name="db", database_version="POSTGRES_16", region="us-central1", settings={"tier": "t"}
        )

    assert engine(program).ok
    result = engine(lambda: None)
    assert "deletion protection" in str(result.problems[0])


def test_retained_things_stay_in_the_cloud(engine: Engine, cloud: StandIn) -> None:
    engine(lambda: void(queue(retain_on_delete=True)))
    result = engine(lambda: None)
    assert result.counts == {"retain": 1}
    assert "stays in the cloud" in render(result)
    assert len(cloud.things) == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"replication": {"auto": {}}, "secret_id": "K", "ttl": "5s"}, "unknown input 'ttl'"),
        ({"replication": {"auto": {}}, "secret_id": 5}, "a value of type string"),
        ({"secret_id": "K"}, "replication"),
    ],
)
def test_wrong_inputs_are_refused_before_any_call(
    engine: Engine, cloud: StandIn, inputs: dict[str, Any], said: str
) -> None:
    def program() -> None:
        queue()
        gcp.secretmanager.Secret("key", **inputs)

    result = engine(program)
    assert said in str(result.problems[0])
    assert "test_safety.py:" in result.problems[0].where or said == "replication"
    assert cloud.calls == []


def test_unmodelled_types_and_options_are_refused(engine: Engine, cloud: StandIn) -> None:
    def program() -> None:
        gcp.pubsub.LiteTopic("t", name="t")
        queue(replace_with=[queue(name="one")])

    result = engine(program)
    said = "\n".join(map(str, result.problems))
    assert "gcp:pubsub/liteTopic:LiteTopic t: the local engine does not model this type" in said
    assert cloud.calls == []


def test_a_failing_program_deletes_nothing(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.calls.clear()

    def program() -> None:
        raise ValueError("the specs moved")

    result = engine(program)
    assert "ValueError: the specs moved" in str(result.problems[0])
    assert cloud.calls == []


def test_what_the_real_engine_made_is_not_touched(engine: Engine, cloud: StandIn) -> None:
    name = "projects/rec/secrets/KEY"
    cloud.things[name] = {"name": name, "labels": {"goog-pulumi-provisioned": "true"}}
    with pytest.raises(ForeignOwnerError, match="pulumi destroy"):
        engine(payments)
    assert cloud.written() == []


def test_two_runs_do_not_meet(engine: Engine, cloud: StandIn) -> None:
    with opened(engine.root / "engine", "local"), pytest.raises(StateBusyError, match="process"):
        engine(payments)
    assert cloud.calls == []


def void(made: object) -> None:
    """A program ends with nothing to say."""
