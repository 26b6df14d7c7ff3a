"""`sluice adopt` of what people made by hand on a local cloud: a preview changes nothing, and edges move one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import local_engine
from ops import app, project_cloud
from ops.adopt import entries
from tests.local_cloud import gcloud as real
from tests.local_cloud import test_gcloud_seeds as seeds
from tests.local_cloud.cloud_places import PROJECT, inside
from tests.local_cloud.run_client import NUMBER, runner
from tests.ops.hand_made import ENQUEUER, PLACE, PROJECT_PATH, Hand, estate, sa

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    folder = tmp_path_factory.mktemp("estate")
    with inside(folder / "cloud") as place, runner(place, folder / "image") as run:
        yield estate(run)


@pytest.fixture
def sluice(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        ended = app.main([*words, "--json"])
        shown = capsys.readouterr()
        assert ended == code, f"{shown.out}\n{shown.err}"
        found: dict[str, Any] = json.loads(shown.out)
        return found

    return run


def adopt(sluice: Run, hand: Hand, folder: Path, *more: str, code: int = 0) -> dict[str, Any]:
    return sluice("adopt", "--project", PROJECT, "--cloud", hand.rest, "--to", str(folder), *more, code=code)


@pytest.fixture(scope="module")
def adopted(hand: Hand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adopted")
    assert app.main(["adopt", "--project", PROJECT, "--cloud", hand.rest, "--to", str(folder)]) == 0
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every call that the engine's client makes."""
    calls: list[str] = []
    send = local_engine.Cloud._send

    def noted(self: local_engine.Cloud, method: str, url: str, body: Any) -> Any:
        calls.append(f"{method} {url.partition('?')[0]}")
        return send(self, method, url, body)

    monkeypatch.setattr(local_engine.Cloud, "_send", noted)
    return calls


def test_a_preview_after_the_import_changes_nothing(hand: Hand, sluice: Run, tmp_path: Path, asked: list[str]) -> None:
    told = adopt(sluice, hand, tmp_path / "new")
    rows = json.loads(Path(told["import_file"]).read_text())["resources"]
    preview = told["preview"]
    assert preview["counts"] == {"same": len(rows) - 1}, "all but the component, which is no resource of the cloud"
    assert (preview["changed"], preview["calls"]["writes"], preview["problems"]) == (False, 0, [])
    assert told["held_back"] == []
    assert sluice("drift", "--folder", str(tmp_path / "new"))["findings"] == []
    assert {one for one in asked if not one.startswith("GET ") and not one.endswith(":getIamPolicy")} == set()
    assert not [one for one in asked if one.endswith(":access")], "no secret's data is read"


def test_import_ids_are_those_that_the_provider_wants(adopted: Path) -> None:
    rows = json.loads((adopted / "queue_configs/adopted/local/import.json").read_text())["resources"]
    ids = {row["id"] for row in rows if "id" in row}
    assert rows[0] == {"type": "sluice:components:Adopted", "name": "adopted", "component": True}
    assert all(row["parent"] == "adopted" for row in rows[1:])
    assert len({row["name"] for row in rows}) == len(rows)
    assert {
        f"{PLACE}/queues/split-payment-queue",
        f"{PLACE}/queues/split-payment-queue {ENQUEUER} {sa('gcwebhook-sa')}",
        f"{PROJECT} roles/logging.logWriter {sa('gcwebhook-sa')}",
        f"{PROJECT_PATH}/serviceAccounts/gcsplit-sa@{PROJECT}.iam.gserviceaccount.com",
        f"{PROJECT_PATH}/roles/looker",
        "token_expiration_count",
    } <= ids
    assert not any("a.person" in one for one in ids), "a person's roles are no stack's business"


def test_drafts_say_what_the_specs_would_and_what_they_cannot_know(adopted: Path) -> None:
    drafts = adopted / "proposals"
    queue = (drafts / "queue_configs/tasks/hostpay-execution-queue.yaml").read_text()
    assert "task_age_limit: 60s" in queue
    assert "a task names its URL itself" in queue
    assert "gcwebhook10-16" in (drafts / "queue_configs/tasks/split-payment-queue.yaml").read_text()
    assert "it stays an entry" in (drafts / "queue_configs/tasks/Odd-Name-Queue.yaml").read_text()
    assert "SIGNING" in (drafts / "service_code/gcsplit10-21/service.yaml").read_text()
    report = (adopted / "ADOPTED.md").read_text()
    assert "service gcsplit10-21: anybody may call all of it" in report
    assert "gcwebhook-sa has roles/logging.logWriter on the whole project" in report


SERVICE = "# yaml-language-server: $schema=../../queue_configs/schema/service.json\ndescription: One.\n"


def test_a_queue_that_moves_to_a_spec_is_updated_and_not_replaced(hand: Hand, sluice: Run, tmp_path: Path) -> None:
    folder = tmp_path / "moving"
    told = adopt(sluice, hand, folder)
    looker = local_engine.Looker(stack="local", root=folder, cloud=project_cloud.local(hand.rest))
    assert looker.taken(ids(told), tmp_path / "state").ok
    (folder / "queue_configs/adopted/local/queue.split-payment-queue.yaml").unlink()
    for name, more in (("sender", ""), ("receiver", "handles:\n  /: Split\n")):
        place = folder / "service_code" / name / "service.yaml"
        place.parent.mkdir(parents=True)
        place.write_text(SERVICE + more)
    tasks = folder / "queue_configs/tasks"
    tasks.mkdir()
    text = "from: [sender]\nto: receiver\npath: /\nmessage: Split\nrate: {dispatches_per_second: 7}\n"
    line = "# yaml-language-server: $schema=../schema/task_queue.json\n"
    (tasks / "split-payment-queue.yaml").write_text(line + text)
    digest = {"sluice:imageDigest": "sha256:" + "0" * 64, "sluice:databaseUrl": "postgresql://{user}@127.0.0.1:1/p"}
    moved = local_engine.run(
        "local", root=folder, mode="preview", state_dir=tmp_path / "state", overrides=digest, offline=True
    )
    assert moved.ok, moved.problems
    [queue] = [one for one in moved.steps if one.name == "split-payment-queue" and one.type.endswith(":Queue")]
    assert (queue.op, queue.id) == (local_engine.Op.UPDATE, f"{PLACE}/queues/split-payment-queue")
    assert "rateLimits.maxDispatchesPerSecond" in {change.path for change in queue.changes}
    assert moved.counts.get("replace", 0) == moved.counts.get("delete", 0) == 0


def ids(told: dict[str, Any]) -> dict[tuple[str, str], str]:
    return entries.ids_of(json.loads(Path(told["import_file"]).read_text()))


@pytest.mark.gcloud
@pytest.mark.skipif(real.root() is None, reason="the gcloud command is not installed")
def test_the_documents_literal_commands_are_adopted_without_a_change(tmp_path: Path, sluice: Run) -> None:
    with seeds.fresh(tmp_path) as (run, gcloud):
        for name in (*sorted(seeds.SERVICES), "siraj"):
            run.create(name, public=False)
        worker = f"gcr.io/{PROJECT}/paynow-worker:v1"
        run.register(worker, str(tmp_path / "image"), "tiny_app:main", ("uvicorn", "tiny_app"))
        known = {"$WORKER_URL": f"{run.place.rest}/run/paynow-worker-{NUMBER}.us-central1"}
        seeds.run_all(gcloud, ["001 section 7", *(f"000 section {number}" for number in (10, 11, 13, 15))])
        seeds.run_all(
            gcloud, [*(f"003 section {number}" for number in (1, 2, 3, 4)), "003 New Log-based Metrics"], known
        )
        told = adopt(sluice, Hand(run.place.rest), tmp_path / "out")
        assert sluice("drift", "--folder", str(tmp_path / "out"))["findings"] == []
    assert told["held_back"] == []
    assert not told["preview"]["changed"]
    assert {"queue.hostpay-execution-queue", "service.gcsplit10-21", "subscription.paynow-events-sub"} <= {
        *told["entries"]
    }
