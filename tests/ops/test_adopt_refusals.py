"""What `sluice adopt` and `sluice drift` say when they are asked badly, or a cloud does not let them look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import local_engine
from local_engine import estate as estates
from local_engine.errors import CloudError
from local_engine.estate import Estate, Thing
from local_engine.resource_type import Defaults
from ops import app, project_cloud
from ops.adopt import entries, proposals, report, secrets
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.ops.hand_made import QUEUES, Hand

HERE = Defaults(PROJECT, "us-central1")
SERVICE = "gcp:cloudrunv2/service:Service"
KEY = "0x" + "4f" * 32


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("refusals") / "cloud") as found:
        Hand(found.rest).queue("one-queue")
        yield found


def adopt(place: Place, folder: Path, *more: str, project: str = PROJECT) -> int:
    return app.main(["adopt", "--project", project, "--cloud", place.rest, "--to", str(folder), *more])


def test_a_folder_that_has_an_adoption_is_not_written_over_unless_told(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(place, tmp_path) == 0
    kept = tmp_path / "queue_configs/adopted/local"
    (kept / "queue.gone-queue.yaml").write_text("type: x\n")
    (kept / "import.json").unlink()
    assert adopt(place, tmp_path) == 1
    assert "half-written" in capsys.readouterr().err
    assert (kept / "queue.gone-queue.yaml").exists()
    assert adopt(place, tmp_path, "--force") == 0
    assert sorted(path.name for path in kept.iterdir()) == ["held.json", "import.json", "queue.one-queue.yaml"]


def test_a_stack_of_another_project_is_refused(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stacks").mkdir()
    config = {"gcp:project": "acme-prod", "gcp:region": "us-central1", "sluice:projectNumber": "123456789"}
    (tmp_path / "stacks/Pulumi.local.yaml").write_text(json.dumps({"config": config}))
    assert adopt(place, tmp_path) == 1
    assert "is the project acme-prod" in capsys.readouterr().err
    assert not (tmp_path / "queue_configs").exists()


def test_an_unknown_project_and_missing_credentials_say_what_to_do(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert adopt(place, tmp_path / "out", project="nobodys-project") == 1
    assert "there is no project nobodys-project" in capsys.readouterr().err
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    assert app.main(["adopt", "--project", "acme-prod", "--to", str(tmp_path / "out")]) == 1
    assert "gcloud auth application-default login" in capsys.readouterr().err
    assert app.main(["drift", "--stack", "prod"]) == 2, "what cannot be looked at is neither drift nor none"
    assert app.main(["drift", "--stack", "foundation-prod"]) == 2
    assert "--stack prod looks at both layers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Refusing(local_engine.Cloud):
    """A cloud of which some products refuse."""

    def __init__(self, rest: str, refusals: Mapping[str, str]) -> None:
        places = {key: rest + path for key, (_, path) in project_cloud.PRODUCTS.items()}
        super().__init__(places, attribution={})
        self.refusals = refusals

    def call(self, endpoint: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        if endpoint in self.refusals:
            raise CloudError(403, "PERMISSION_DENIED", self.refusals[endpoint], f"{method} {path}")
        return super().call(endpoint, method, path, **more)


def test_an_api_that_is_disabled_is_named_and_the_rest_is_looked_at(place: Place) -> None:
    off = "Cloud Pub/Sub API has not been used in project 1 before or it is disabled."
    found = estates.look(Refusing(place.rest, {"pubsub": off, "cloudScheduler": "no permission"}), [HERE])
    assert found.disabled == ["pubsub"]
    assert [one.partition(":Job")[0] for one in found.unseen] == ["gcp:cloudscheduler/job"]
    assert [thing.name for thing in found.things] == ["one-queue"]


def test_a_secret_in_plain_text_is_held_back_and_never_written() -> None:
    envs = [{"name": "MODE", "value": "sync"}, {"name": "SIGNING_KEY", "value": "s3cret-value"}]
    inputs = {
        "name": "payer",
        "location": "us-central1",
        "project": "acme",
        "template": {"containers": [{"envs": envs}]},
    }
    identity = "projects/acme/locations/us-central1/services/payer"
    estate = Estate(things=[Thing(type=SERVICE, identity=identity, live={"name": identity}, inputs=inputs)])
    taken = entries.taken(estate, "acme")
    [held] = taken.held
    [(path, draft, notes)] = proposals.drafts(estate)
    written = json.dumps(
        [taken.entries, draft, notes, report.text("acme", "prod", estate, taken, 1), held.fix, held.why]
    )
    assert taken.entries == {}
    assert "SIGNING_KEY" in held.why
    assert "--update-secrets=SIGNING_KEY" in held.fix
    assert (path, draft["secrets"], draft["config"]) == (
        "service_code/payer/service.yaml",
        ["SIGNING_KEY"],
        {"MODE": "sync"},
    )
    assert "s3cret-value" not in written


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({"envs": [{"name": "X", "value": KEY}]}, ["envs[X]"]),
        ({"envs": [{"name": "DATABASE_URL", "value": "postgresql://u:hunter2@h/d"}]}, ["envs[DATABASE_URL]"]),
        ({"httpTarget": {"headers": {"Authorization": "Bearer abc"}}}, ["httpTarget.headers.Authorization"]),
        ({"args": ["--key", KEY]}, ["args"]),
        ({"envs": [{"name": "TOKEN_WINDOW_SECONDS", "value": "60"}, {"name": "KEY_VERSION", "value": "a"}]}, []),
        ({"envs": [{"name": "OLD_TOKENS", "value": "false"}, {"name": "MAX_TOKENS", "value": "100"}]}, []),
        ({"envs": [{"name": "TOKEN_LIFE", "value": "1.5h"}, {"name": "USE_TOKENS", "value": "off"}]}, []),
        ({"envs": [{"name": "API_KEY", "valueSource": {"secretKeyRef": {"secret": "k", "version": "1"}}}]}, []),
    ],
)
def test_places_of_secrets_are_told_by_name_and_by_value(value: dict[str, Any], places: list[str]) -> None:
    assert list(secrets.in_plain(value)) == places


def test_what_the_types_do_not_model_is_held_back(place: Place) -> None:
    name = "projects/acme/locations/us-central1/queues/routed"
    live = {"name": name, "state": "RUNNING", "httpTarget": {"uriOverride": {"host": "example.com"}}}
    kind = local_engine.resources.registry()["gcp:cloudtasks/queue:Queue"]
    thing = estates._thing(kind, live, Defaults("acme", "us-central1"))  # type: ignore[arg-type]
    [held] = entries.taken(Estate(things=[thing]), "acme").held
    assert "httpTarget" in held.why


def test_headers_that_google_adds_to_a_job_are_not_declared() -> None:
    added = {"User-Agent": "Google-Cloud-Scheduler", "Content-Type": "application/octet-stream", "X-Mine": "1"}
    name = "projects/acme/locations/us-central1/jobs/sweep"
    live = {"name": name, "state": "PAUSED", "httpTarget": {"uri": "https://example.com/", "headers": added}}
    kind = local_engine.resources.registry()["gcp:cloudscheduler/job:Job"]
    inputs = estates._thing(kind, live, Defaults("acme", "us-central1")).inputs  # type: ignore[arg-type]
    assert inputs["httpTarget"]["headers"] == {"X-Mine": "1"}
    assert inputs["paused"] is True


def test_many_queues_are_read_page_by_page(tmp_path: Path) -> None:
    with inside(tmp_path) as place:
        for number in range(8):
            Hand(place.rest).queue(f"many-{number}-queue")
        cloud = project_cloud.local(place.rest)
        listed = cloud.pages("cloudTasks", QUEUES.removeprefix("/v2/"), "queues", {"pageSize": "3"})
        paged = [one["name"] for one in listed]
    assert len(paged) == len(set(paged)) == 8
    assert cloud.reads == 3


def test_names_that_differ_by_case_alone_are_two_files() -> None:
    def queue(name: str) -> Thing:
        inputs = {"name": name, "location": "us-central1", "project": "acme"}
        identity = f"projects/acme/locations/us-central1/queues/{name}"
        return Thing(type="gcp:cloudtasks/queue:Queue", identity=identity, live={}, inputs=inputs)

    taken = entries.taken(Estate(things=[queue("Pay"), queue("pay")]), "acme")
    assert len({name.lower() for name in taken.entries}) == 2
    assert [entry["properties"]["name"] for entry in taken.entries.values()] == ["Pay", "pay"]
