"""What the command line of the local cloud takes, what its settings mean together, and how it refuses."""

from pathlib import Path

import pytest

from local_cloud.command_line import parse
from tests.fidelity import pins

QUEUE = "projects/dev/locations/here/queues/q"

REFUSED = {
    "a project's number": (["--project", "123456"], "is a project number"),
    "a bad project": (["--project", "My_App"], "'My_App' is no project id"),
    "a project that is nearly one": (["--project", "my_app"], "63 at most, such as my-app"),
    "a bad number": (["--project-number", "0x1"], "is no project number"),
    "a bad location": (["--location", "us central"], "is no location"),
    "a bad queue": (["--queue", "a_b"], "a queue's id has letters, digits and hyphens"),
    "half a queue's name": (["--queue", "projects/x/queues/q"], "projects/PROJECT/locations/LOCATION/queues/QUEUE"),
    "a bad project in a queue's name": (["--queue", "projects/a_b/locations/l/queues/q"], "'a_b' is no project id"),
    "a queue of another project": (["--project", "other-app", "--queue", QUEUE], "a queue names dev"),
    "queues of two projects": (["--queue", QUEUE, "--queue", QUEUE.replace("dev", "x")], "is one project's"),
    "a bad port": (["--port", "99999"], "is no port"),
    "a bad time": (["--iam-delay", "-1"], "--iam-delay"),
    "a bad mode": (["--iam-mode", "maybe"], "invalid choice"),
    "an unknown option": (["--prot", "1"], "unrecognized arguments: --prot"),
    "fresh and kept": (["--fresh", "--state", "x"], "not allowed with"),
}


@pytest.mark.parametrize(("words", "expected"), REFUSED.values(), ids=list(REFUSED))
def test_what_does_not_fit_is_refused_in_a_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        parse(words)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert expected in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_name_says_project_and_location_where_nobody_else_does(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path)]
    found = parse([*state, "--queue", QUEUE, "--queue", "r"])
    assert (found.project, found.location) == ("dev", "here")
    assert found.queue_names == (QUEUE, "projects/dev/locations/here/queues/r")
    assert parse([*state, "--queue", QUEUE, "--location", "there"]).location == "there"
    assert parse([*state, "--queue", QUEUE, "--queue", QUEUE.replace("here", "there")]).location == "us-central1"


def test_without_a_state_it_is_a_new_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = parse([]), parse(["--fresh"])
    assert first.fresh
    assert second.fresh
    assert first.state != second.state
    assert {first.state.parent, second.state.parent} == {tmp_path}


def test_a_temporary_folder_that_cannot_be_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit):
        parse([])
    assert "--state" in capsys.readouterr().err


@pins("standalone", "Starting", "--state takes no directory of something else: it is left as it is", ours=True)
def test_a_directory_of_something_else_is_no_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in (".keep", "lock", "clock"):
        (docs / name).touch()
    assert parse(["--state", str(docs)]).state == docs
    for name in ("a.md", "b.md", "c.md", "d.md"):
        (docs / name).touch()
    with pytest.raises(SystemExit):
        parse(["--state", str(docs)])
    said = capsys.readouterr().err
    assert "it has a.md, b.md, c.md and 1 more in it" in said
    assert said.count("\n") == 1
    for mark in ("state.db", "cloud.json"):
        (docs / mark).touch()
        assert parse(["--state", str(docs)]).state == docs
        (docs / mark).unlink()
