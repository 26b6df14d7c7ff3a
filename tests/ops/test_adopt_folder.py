"""`sluice adopt` leaves nothing behind that it could not preview, and refuses at the start what cannot end well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import spec
from ops import app, project_cloud
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.ops.hand_made import Hand


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("folder") / "cloud") as found:
        Hand(found.rest).queue("one-queue")
        yield found


def adopt(place: Place, folder: Path, *more: str) -> int:
    return app.main(["adopt", "--project", PROJECT, "--cloud", place.rest, "--to", str(folder), *more])


def test_nothing_is_written_beside_specs_that_declare_the_same(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "queue_configs/tasks"
    tasks.mkdir(parents=True)
    (tasks / "one-queue.yaml").write_text("from: [sender]\nto: receiver\npath: /\nmessage: Split\n")
    before = sorted(tmp_path.rglob("*"))
    assert adopt(place, tmp_path) == 1
    told = capsys.readouterr().err
    assert "SL140" in told
    assert "nothing was written" in told
    assert "--to FOLDER" in told
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--stack", "staging"], "a local cloud is adopted as --stack local"),
        (["--stack", "../../x"], "is no name of a stack"),
        (["--stack", "foundation-prod"], "is no name of a stack"),
        (["--cloud", "http://127.0.0.1:1"], "there is no local cloud at http://127.0.0.1:1"),
        (["--cloud", "not-a-url"], "there is no local cloud at http://not-a-url"),
    ],
)
def test_what_cannot_end_well_is_refused_before_anything_is_asked_or_written(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert adopt(place, tmp_path / "out", *words) > 0
    error = capsys.readouterr().err
    assert told in error
    assert "fix:" in error
    assert not (tmp_path / "out").exists()


def test_a_region_with_neither_a_queue_nor_a_service_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with inside(tmp_path / "cloud") as elsewhere:
        Hand(elsewhere.rest).call("PUT", f"/v1/projects/{PROJECT}/topics/one-topic", {})
        assert adopt(elsewhere, tmp_path / "out") == 0
    assert "0 queues and 0 services in us-central1" in capsys.readouterr().out


def test_a_region_that_cloud_tasks_does_not_know_is_refused(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(place, tmp_path / "out", "--region", "mars-east9") == 1
    error = capsys.readouterr().err
    assert "there is no region mars-east9" in error
    assert "us-central1" in error
    assert not (tmp_path / "out").exists()


def test_a_project_of_google_is_adopted_before_it_has_an_image(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_cloud, "google", lambda _stack: project_cloud.local(place.rest))
    assert app.main(["adopt", "--project", PROJECT, "--stack", "prod", "--to", str(tmp_path / "out")]) == 0
    config = yaml.safe_load((tmp_path / "out/stacks/Pulumi.prod.yaml").read_text())["config"]
    assert not [key for key in config if key.endswith("CustomEndpoint")]


def test_a_draft_put_into_its_place_names_its_schema_and_says_no_limit_that_is_none(
    place: Place, tmp_path: Path
) -> None:
    assert adopt(place, tmp_path) == 0
    draft = tmp_path / "proposals/queue_configs/tasks/one-queue.yaml"
    line = draft.read_text().splitlines()[0]
    assert line == "# yaml-language-server: $schema=../schema/task_queue.json"
    assert "task_age_limit" not in yaml.safe_load(draft.read_text())["retry"]
    assert "without a limit of age" in draft.read_text()
    moved = tmp_path / "queue_configs/tasks/one-queue.yaml"
    moved.parent.mkdir()
    moved.write_text(draft.read_text())
    assert "SL106" not in {finding.rule for finding in spec.lint(tmp_path)}


def test_drift_of_a_folder_that_is_missing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["drift", "--folder", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert f"there is no folder {tmp_path / 'nowhere'}" in error
    assert "fix:" in error
