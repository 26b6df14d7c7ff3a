"""`sluice cloud start|status|stop`: starting, what is kept, ends of every kind, refusals that can be mended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.output import Output
from ops.standalone import welcome
from ops.verbs import logs
from tests.fidelity import pins
from tests.ops.alone import Alone, environment, sluice, started

QUEUE = "projects/dev/locations/here/queues/anotherq"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    with started(tmp_path_factory.mktemp("alone"), "--queue", QUEUE, "--queue", "mails") as cloud:
        yield cloud


def answers(url: str, path: str) -> dict[str, object]:
    with urllib.request.urlopen(url + path, timeout=90) as answer:
        return dict(json.load(answer))


def pid_of(folder: Path) -> int:
    """The process of the one cloud whose record lies there."""
    [record] = (folder / f"sluice-clouds-{os.geteuid()}").glob("*.json")
    return int(record.stem)


def gone(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


@pins(
    "standalone",
    "Starting",
    "--queue takes an id or a full name; the full name says which project and region",
    ours=True,
)
def test_queues_that_are_asked_for_are_there_from_the_first_moment(cloud: Alone) -> None:
    assert (cloud.ready["project"], cloud.ready["location"]) == ("dev", "here")
    listed = answers(cloud.url, "/v2/projects/dev/locations/here/queues")
    assert [queue["name"] for queue in listed["queues"]] == [  # type: ignore[attr-defined]
        QUEUE,
        "projects/dev/locations/here/queues/mails",
    ]


def test_a_running_cloud_is_found_without_being_named(cloud: Alone) -> None:
    shown = cloud.sluice("cloud", "status").stdout
    assert f"{cloud.url}  project dev (here)" in shown
    assert "mails  running, 0 waiting" in shown
    assert "ahead of this machine" in cloud.sluice("clock", "show").stdout
    assert cloud.sluice("logs", "--json").stdout.startswith("[")
    assert f"export SLUICE_CLOUD={cloud.url}" in cloud.sluice("env").stdout


def test_a_stack_that_is_named_and_does_not_run_gives_no_other_cloud_but_its_name(cloud: Alone) -> None:
    for verb in (["env"], ["clock", "advance", "1h"], ["logs"]):
        said = sluice(cloud.folder, *verb, check=1, SLUICE_HOME=str(cloud.folder / "home")).stderr
        assert "no local stack is running" in said
        assert f"--cloud {cloud.url} (dev)" in said


def test_a_line_of_the_log_has_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"timestamp": "2026-03-04T05:06:07.123456Z", "severity": "INFO", "textPayload": "said"}
    logs.show(Output(as_json=False), entry)
    assert capsys.readouterr().out.startswith("2026-03-04 05:06:07.123  INFO")


@pins("standalone", "Starting", "Another project: CONSUMER_INVALID, with how to start a cloud for it", ours=True)
def test_a_client_of_another_project_is_told_how_to_start_for_it(cloud: Alone) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        answers(cloud.url, "/v2/projects/elsewhere/locations/here/queues")
    body = caught.value.read().decode()
    assert "CONSUMER_INVALID" in body
    assert "sluice cloud start --project elsewhere" in body
    assert cloud.process.stderr is not None
    assert "A client asked for project elsewhere" in cloud.process.stderr.readline()


@pins(
    "standalone",
    "Starting",
    "A state of its own: the next start goes on, with the same project, region and queues",
    ours=True,
)
def test_a_kept_state_goes_on_where_it_was(tmp_path: Path) -> None:
    words = ("--state", "kept", "--project", "my-app", "--location", "europe-west1", "--queue", "mails")
    with started(tmp_path, *words) as first:
        assert first.ready["queues"]["made"] == ["projects/my-app/locations/europe-west1/queues/mails"]
        busy = sluice(tmp_path, "cloud", "start", "--state", "kept", "--port", "0", check=2).stderr
        assert "in use by the local cloud with pid" in busy
        assert first.end(signal.SIGTERM) == 0
    other = sluice(tmp_path, "cloud", "start", "--state", "kept", "--project", "other", "--port", "0", check=2).stderr
    assert "is the state of project my-app" in other
    assert "--project my-app" in other
    with started(tmp_path, "--state", "kept", "--queue", "mails", "--queue", "more") as again:
        assert (again.ready["project"], again.ready["location"]) == ("my-app", "europe-west1")
        assert [name.rpartition("/")[2] for name in again.ready["queues"]["kept"]] == ["mails"]
        assert [name.rpartition("/")[2] for name in again.ready["queues"]["made"]] == ["more"]
        assert again.end() == 0
    with started(tmp_path, "--state", "kept") as third:
        assert [name.rpartition("/")[2] for name in third.ready["queues"]["kept"]] == ["mails", "more"]
        assert "  queues   mails, more\n" in welcome(third.ready)
        assert third.end() == 0


@pins("standalone", "Starting", "Without --state everything is fresh, and gone at the end", ours=True)
def test_a_fresh_state_is_gone_at_the_end_and_after_a_kill_at_the_next_start(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        state = Path(first.ready["state"])
        assert state.is_dir()
        assert first.end() == 0
    assert not state.exists()
    with started(tmp_path) as second:
        left = Path(second.ready["state"])
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        assert second.process.wait(90) == 1
        assert second.process.stderr is not None
        assert "SIGKILL" in second.process.stderr.read()
    (tmp_path / "local-cloud-of-somebody").mkdir()
    (tmp_path / "local-cloud-of-somebody" / "lock").write_text("1\n")
    with started(tmp_path) as third:
        assert not left.exists()
        assert third.end() == 0
    assert (tmp_path / "local-cloud-of-somebody").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the process only on Linux")
def test_a_command_that_is_killed_takes_its_cloud_with_it(tmp_path: Path) -> None:
    with started(tmp_path) as cloud:
        child = psutil.Process(pid_of(tmp_path))
        cloud.process.kill()
        child.wait(90)
        assert gone(cloud.url)
    assert not Path(cloud.ready["state"]).exists()


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    with started(tmp_path) as cloud, socket.create_connection(("127.0.0.1", cloud.port)) as slow:
        slow.sendall(
            b"POST /_sluice/idle HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )  # keeps the door open
        cloud.process.send_signal(signal.SIGINT)
        cloud.process.send_signal(signal.SIGINT)
        assert cloud.process.wait(90) in (0, 130)
        assert gone(cloud.url)


def test_a_reader_that_goes_away_does_not_end_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "cloud", "start", "--port", "0"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[5].rstrip(",")
        process.stdout.close()
        assert answers(url, "/_sluice/status")["project"] == "sluice-local"
        process.terminate()
        assert process.wait(90) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def test_stop_stops_the_one_that_runs(tmp_path: Path) -> None:
    with started(tmp_path, "--project", "one") as one, started(tmp_path, "--project", "two") as two:
        which = one.sluice("clock", "show", check=1).stderr
        assert "2 local clouds run" in which
        assert f"--cloud {two.url}" in which or f"--cloud {one.url}" in which
        assert "one" in one.sluice("cloud", "stop", "--cloud", one.url).stdout
        assert one.process.wait(90) == 0
        taken = sluice(tmp_path, "cloud", "start", "--port", str(two.port), check=2).stderr
        assert f"Port {two.port} is in use: give another --port" in taken
        assert f"./sluice cloud stop --cloud {two.url}" in taken
        two.sluice("cloud", "stop")
        assert two.process.wait(90) == 0
    nothing = sluice(tmp_path, "clock", "show", "--cloud", one.url, check=1).stderr
    assert f"there is no local cloud at {one.url}" in nothing


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--project", "My_App"], "'My_App' is no project id"),
        (["--host", "192.0.2.1"], "cannot be listened on"),
        (["--state", "/dev/null/x"], "cannot be used as state directory"),
    ],
    ids=["command line", "door", "state"],
)
def test_what_cannot_be_started_is_refused_in_a_line(tmp_path: Path, words: list[str], expected: str) -> None:
    done = sluice(tmp_path, "cloud", "start", "--port", "0", *words, check=2)
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.glob("local-cloud-*")) == []


def test_help_lists_every_setting(tmp_path: Path) -> None:
    shown = sluice(tmp_path, "cloud", "start", "--help").stdout
    for flag in ("--state", "--fresh", "--project", "--queue", "--port", "--iam-mode", "--iam-delay", "--json"):
        assert flag in shown
    assert "--tasks-duplicates SHARE" in shown
    assert not re.search(r"--[a-z-]+ [A-Z]+_[A-Z_]+", shown)
