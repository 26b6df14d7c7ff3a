"""The verbs of queues as a person types them, in processes of their own, with gcloud's beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import LOCATION
from tests.local_cloud.gcloud import Gcloud
from tests.ops.alone import ROOT, environment
from tests.ops.hands import PAYING, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


def test_a_queue_is_moved_from_a_shell_once_that_is_confirmed(at_hand: Hands, tmp_path: Path) -> None:
    ids = at_hand.names(2)
    at_hand.put(PAYING, *ids, tag="canary")

    def shell(*words: str, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "ops", *words, "--json"],
            env={**environment(tmp_path), "SLUICE_HOME": str(at_hand.home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    assert shell("queues", "run", PAYING, "--all", code=1)["error"]["fix"] == "add --yes"
    assert shell("queues", "move", PAYING, "--to-side", "stable", "--yes")["moved"] == 2
    assert set(at_hand.waiting(PAYING)) == {f"{one}-moved" for one in ids}


@pytest.fixture(scope="module")
def gcloud(stack: Hands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(stack.place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


@pytest.mark.gcloud
@pytest.mark.skipif(real.root() is None, reason="the gcloud command is not installed")
def test_gcloud_sees_what_the_verbs_say(at_hand: Hands, sluice: Sluice, gcloud: Gcloud) -> None:
    ids = at_hand.names(3)
    at_hand.put(PAYING, *ids, after=3600)
    here = (f"--queue={PAYING}", f"--location={LOCATION}")
    listed = gcloud.json("tasks", "list", *here)
    told = sluice("queues", "tasks", PAYING, yes=False)[1]["tasks"]
    assert {one["name"].rpartition("/")[2] for one in listed} == {one["task"] for one in told} == set(ids)
    gcloud.ok("tasks", "run", ids[0], *here)
    at_hand.idle()
    assert sluice("queues", "run", PAYING, ids[0])[1]["gone"] == 1
    gcloud.ok("tasks", "queues", "purge", PAYING, f"--location={LOCATION}", "--quiet")
    assert sluice("queues", "describe", PAYING, yes=False)[1]["purged_at"]
    assert sluice("queues", "purge", PAYING, "--without-export")[1]["destroyed"] == 0
