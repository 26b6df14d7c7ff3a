"""A job with a token runs as it is written: what depends on it waits for its execution, and for its success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pulumi
import pulumi_gcp as gcp
import pytest
from pulumi_gcp import cloudrunv2 as run

import local_engine
from local_engine import Ports, Result
from tests.components.conftest import DIGEST
from tests.local_cloud.image import tiny_image
from tests.local_engine.local_cloud import ROOT, call, running

PLACE = "projects/sluice-local/locations/us-central1"
IMAGE = f"us-central1-docker.pkg.dev/sluice-local/sluice/services@{DIGEST}"


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    folder = tmp_path / "image"
    folder.mkdir()
    image = tiny_image(folder, DIGEST)
    with running(tmp_path) as found:
        manifest = {"digest": DIGEST, "root": image.root, "entry": image.entry, "preload": image.preload}
        call(found, "POST", "/_sluice/images", manifest)
        yield found


def apply(ports: Ports, state: Path, token: str, *args: str) -> Result:
    """A job, and a role that stands for the services of its release."""

    def program() -> None:
        container = run.JobTemplateTemplateContainerArgs(image=IMAGE, args=list(args))
        task = run.JobTemplateTemplateArgs(containers=[container], max_retries=0)
        job = gcp.cloudrunv2.Job(
            "migrate",
            name="migrate",
            location="us-central1",
            deletion_protection=False,
            run_execution_token=token,
            template=run.JobTemplateArgs(template=task),
        )
        gcp.projects.IAMCustomRole(
            "after",
            role_id="after",
            title=f"After {token}",
            permissions=["cloudtasks.tasks.create"],
            opts=pulumi.ResourceOptions(depends_on=[job]),
        )

    return local_engine.run("local", root=ROOT, mode="up", state_dir=state, ports=ports, program=program)


def executions(ports: Ports) -> list[str]:
    found = call(ports, "GET", f"/v2/{PLACE}/jobs/migrate/executions")[1]
    return sorted(one["name"].rpartition("/")[2] for one in found.get("executions", ()))


def title(ports: Ports) -> str | None:
    found: str | None = call(ports, "GET", "/v1/projects/sluice-local/roles/after")[1].get("title")
    return found


def test_what_waits_for_a_job_meets_its_work_done_once(ports: Ports, tmp_path: Path) -> None:
    assert apply(ports, tmp_path, "one", "done").ok
    assert (executions(ports), title(ports)) == (["migrate-one"], "After one")

    again = apply(ports, tmp_path, "one", "done")
    assert (again.changed, again.writes, executions(ports)) == (False, 0, ["migrate-one"])

    failed = apply(ports, tmp_path, "two", "exit", "3")
    assert not failed.ok
    assert "migrate" in str(failed.problems[0])
    assert (executions(ports), title(ports)) == (["migrate-one", "migrate-two"], "After one"), "the release stops there"

    assert apply(ports, tmp_path, "three", "done").ok
    assert title(ports) == "After three"

    back = apply(ports, tmp_path, "one", "done")
    assert back.ok, "an older release's token has run already: going back waits for nothing and runs nothing"
    assert (executions(ports), title(ports)) == (["migrate-one", "migrate-three", "migrate-two"], "After one")
