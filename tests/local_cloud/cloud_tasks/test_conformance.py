"""Every case of the record of the real Cloud Tasks: in process and as a process, over gRPC and over REST."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PLACES, ROOT, Place
from tests.local_cloud.cloud_tasks.cloud_tasks_record import CASES, Backoff, Case, Dispatch, Refusal

pins(
    "cloud_tasks",
    "Queues",
    "Messages and details of errors in the record",
    observed="conformance record",
)

pins(
    "cloud_tasks",
    "Queues",
    "A queue name that is no resource name answers NOT_FOUND",
    ours=True,
)

RECORD = ROOT.parent / "shared" / "conformance" / "cloud_tasks.yaml"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """Every place once, started when a test first wants it."""
    made: dict[str, Place] = {}
    with ExitStack() as stack:

        def place(name: str) -> Place:
            if name not in made:
                made[name] = stack.enter_context(PLACES[name](tmp_path_factory.mktemp(name)))
            return made[name]

        yield place


@pytest.mark.parametrize("wire", ["grpc", "rest"])
@pytest.mark.parametrize("where", list(PLACES))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_local_cloud_answers_as_the_real_service_did(
    places: Callable[[str], Place], where: str, wire: str, case: Case
) -> None:
    case.prove(places(where), wire)


@pytest.mark.skipif(not RECORD.exists(), reason=f"the record is not at hand: {RECORD}")
def test_every_case_of_the_record_is_asked() -> None:
    """A case, or a kind of facts, that is new in the record fails here until it is asked above."""
    record = yaml.safe_load(RECORD.read_text())
    refusals = [case for case in CASES if isinstance(case, Refusal)]
    asked: dict[str, Any] = {
        "errors": [_entry(case.name, case.code, case.message, bool(case.details)) for case in refusals],
        "dispatch": [{"answers": list(case.answers), **case.headers} for case in CASES if isinstance(case, Dispatch)],
        "backoff": [
            (f"{case.min_backoff}s", f"{case.max_backoff}s", case.max_doublings, list(case.waits))
            for case in CASES
            if isinstance(case, Backoff)
        ],
    }
    dispatch = dict(record["dispatch"])
    assert dispatch.pop("every_request") == {
        "User-Agent": "Google-Cloud-Tasks",
        "X-CloudTasks-QueueName": "{queue}",
        "X-CloudTasks-TaskName": "{task}",
        "X-CloudTasks-TaskETA": "{eta}",
    }
    recorded = {
        "errors": [
            _entry(entry["case"], entry["code"], entry.get("message", ""), "detail" in entry)
            for entry in record["errors"]
        ],
        "dispatch": [dispatch],
        "backoff": [
            (entry["min_backoff"], entry["max_backoff"], entry["max_doublings"], entry["waits"])
            for entry in record["backoff"]
        ],
        **{kind: "is not asked" for kind in record if kind not in asked},
    }
    assert asked == recorded


def _entry(name: str, code: str, message: str, detailed: bool) -> tuple[str, str, str, bool]:
    return name, code, message, detailed
