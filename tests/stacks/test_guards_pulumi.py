"""The explicit word with Pulumi's own engine: what it refuses, what it lets go; the local engine does alike."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import local_engine
from local_engine import Ports
from tests.local_engine.local_cloud import call, running
from tests.stacks.pulumi_cli import ROOT, Pulumi

pytestmark = pytest.mark.engine

#: One queue as the program's component makes it, its words and its region from the stack's config.
PROGRAM = """\
    import json, sys
    sys.path.insert(0, {root!r})
    import pulumi
    from components.site import Site
    from components.task_queue import TaskQueue, TaskQueueConfig
    from pathlib import Path
    from spec import load

    config = pulumi.Config("test")
    if config.get("queue"):
        words = frozenset(json.loads(config.get("words") or "[]"))
        site = Site(project="sluice-local", region=config.require("queue"), env="prod", protect=True, unprotect=words)
        spec = load(Path({root!r})).queues["gcsplit2-queue"]
        role = "projects/sluice-local/roles/creator"
        TaskQueue(spec.name, TaskQueueConfig(site=site, spec=spec, creator_role=role, senders={{}}))
"""
HERE, THERE = "us-central1", "europe-west1"
WORDS = '["tasks/gcsplit2-queue"]'


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    made = Pulumi(tmp_path / "pulumi")
    program = textwrap.dedent(PROGRAM).format(root=str(ROOT))
    (made.project / "stacks" / "__main__.py").write_text(program)
    return made


@pytest.fixture
def local_cloud(pulumi: Pulumi, tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as ports:
        yield ports


def queues(ports: Ports) -> dict[str, str]:
    found: dict[str, str] = {}
    for region in (HERE, THERE):
        for queue in call(ports, "GET", f"/v2/projects/sluice-local/locations/{region}/queues")[1].get("queues", ()):
            found[region] = queue["state"]
    return found


def test_pulumi_loses_a_guarded_queue_by_its_word_alone(pulumi: Pulumi, local_cloud: Ports) -> None:
    given = local_engine.stack_config(ROOT, "local", {}, local_cloud)
    pulumi.init("local", {key: value for key, value in given.items() if key.startswith("gcp:")})

    def up(queue: str = "", words: str = "[]", *, ok: bool = True) -> str:
        for key, value in (("queue", queue), ("words", words)):
            pulumi.run("config", "set", "--plaintext", "--stack", "local", f"test:{key}", value)
        return pulumi.run("up", "--yes", "--skip-preview", "--stack", "local", ok=ok)

    up(HERE)
    assert queues(local_cloud) == {HERE: "PAUSED"}
    call(local_cloud, "POST", f"/v2/projects/sluice-local/locations/{HERE}/queues/gcsplit2-queue:resume", {})
    up(HERE)
    assert queues(local_cloud) == {HERE: "RUNNING"}, "no apply changes the state of a queue that is there"
    assert "cannot be deleted" in up(ok=False)
    assert "unable to replace resource" in up(THERE, ok=False)
    up(THERE, WORDS)  # the word in the same apply: the new one is made, the old one is let go and stands
    assert queues(local_cloud) == {HERE: "RUNNING", THERE: "PAUSED"}
    up(words=WORDS)
    assert queues(local_cloud) == {HERE: "RUNNING"}, "unprotected by the apply before, it is deleted"
