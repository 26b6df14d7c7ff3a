"""What no command line should be: refused in a few words, never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import rest
from ops.app import main
from ops.errors import Unreachable
from ops.home import ROOT

LONG = "x" * 10_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["rollback", "\udcff"],
        ["logs", "--payment", "\udcff"],
        ["drift", "--stack", ""],
        ["drift", "--stack", LONG],
        ["drift", "--folder", LONG],
        ["lint", "--sarif", LONG],
        ["diagram", "--to", f"/nosuch-{LONG}/x"],
        ["cost", "--stack", LONG],
        ["preview", "--stack", "[bold]x[/nope]"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_rubbish_is_refused_in_a_few_words(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) in (1, 2)
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert "fix: " in said.err
    assert len(said.err) < 1000, "a word that is longer than any name is not said again whole"


def test_an_image_that_is_no_digest_is_refused_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ops.verbs.rollout.place.of", lambda stack: None)
    monkeypatch.setattr("ops.verbs.rollout.Store", lambda here: None)
    assert main(["rollout", "start", "gcsplit", "--image", "latest"]) == 2
    assert capsys.readouterr().err.startswith("error: --image is latest")


def test_a_name_that_no_url_has_is_asked_for_all_the_same() -> None:
    with pytest.raises(Unreachable):
        rest.fetch("GET", "http://127.0.0.1:9/v2/services/\u00fcn\u2603 a\nb", patience=0)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["lint", "--explain", "SL105"], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        (["status"], {"SLUICE_HOME": "/dev/null/nowhere"}),
    ],
    ids=["posix", "home"],
)
def test_surroundings_that_do_not_fit_end_without_a_traceback(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    given = {**os.environ, "PYTHONPATH": str(ROOT), "SLUICE_HOME": str(tmp_path / "home"), **environment}
    done = subprocess.run(
        [sys.executable, "-m", "ops", *arguments], check=False, env=given, cwd=tmp_path, capture_output=True
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1, 2)


def test_a_home_whose_records_are_rubbish_is_erased_as_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name in ("stack.json", "supervisor.json"):
        (tmp_path / "home" / name).write_text("{{{ [")
    assert main(["status"]) == 1
    assert "fix: ./sluice down --erase" in capsys.readouterr().err
    assert main(["down", "--erase", "--yes"]) == 0
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["queues", "--help"], ["diagram", "--format", "mermaid"]], ids=" ".join)
def test_a_full_disk_is_said(words: list[str], tmp_path: Path) -> None:
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "ops", *words]
        done = subprocess.run(command, check=False, env=given, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: the output cannot be written: No space left on device")
    assert b"Traceback" not in done.stderr


def test_who_reads_no_further_is_told_nothing_and_the_verb_ends_as_it_would(tmp_path: Path) -> None:
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        command = [sys.executable, "-m", "ops", "diagram", "--format", "mermaid"]
        done = subprocess.run(command, check=False, env=given, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
