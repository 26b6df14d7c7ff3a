"""The migration job of the local stack: what must be there before it runs, and what it said where it failed.

The program's apply executes it (components/migration_job.py), once for each release. Owns what stands around that on
this machine: the owner's grants come first, an execution that failed is put away so that the next `up` tries again,
and what it said is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import local_engine
from local_engine import Event, Op
from ops.cloud import LocalCloud
from ops.errors import OpsError
from ops.output import Output
from ops.stack import database, identity
from spec import names

#: The type of the job.
JOB = "gcp:cloudrunv2/job:Job"
#: Lines of a failed execution that are shown.
LINES = 12
#: What stands in a line of dbmate's for each migration that it has applied.
APPLIED = "Applied: "


@dataclass(frozen=True)
class Migrations:
    """The job's steps, as the engine tells of them."""

    cloud: LocalCloud
    out: Output
    #: The services whose roles the database must have.
    services: Sequence[str]
    #: Executions that were there before the job's step: what they said is no news.
    _before: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        """It begins, is over or has failed."""
        if (event.step.type, event.step.name) != (JOB, names.MIGRATION_JOB) or event.step.op in (Op.SAME, Op.READ):
            return
        if event.kind == "start" and event.step.op is not Op.DELETE:
            try:
                database.grant(self.cloud.ports, self.services)
                self._put_failures_away()
                self._before.update(str(one["name"]) for one in self._executions())
            except OpsError as error:
                raise local_engine.EngineError(str(error)) from error
        elif event.kind == "done" and event.step.op is not Op.DELETE:
            self.out.step("database is migrated", self._applied())
        elif event.kind == "failed":
            for line in reversed(list(self._said(LINES))):
                self.out.plain(f"    {line}", style="dim")

    def _job(self) -> str:
        who = identity.of_local_stack()
        return f"projects/{who.project}/locations/{who.region}/jobs/{names.MIGRATION_JOB}"

    def _put_failures_away(self) -> None:
        """An execution is named by its job's token: while a failed one stands, the same job is not run again."""
        for execution in self._executions():
            if execution.get("completionTime") and not execution.get("succeededCount"):
                self.cloud.google("DELETE", f"/v2/{execution['name']}")

    def _executions(self) -> list[dict[str, Any]]:
        """Those of the job; none before the first release made it."""
        jobs = self.cloud.google("GET", f"/v2/{self._job().rpartition('/')[0]}").get("jobs", ())
        if self._job() not in [job["name"] for job in jobs]:
            return []
        return list(self.cloud.google("GET", f"/v2/{self._job()}/executions").get("executions", ()))

    def _applied(self) -> str:
        """What this step has applied; an execution that finds nothing to apply says nothing."""
        new = {str(one["name"]) for one in self._executions()} - self._before
        said = [line for name in new for line in self._said(LINES, name.rpartition("/")[2]) if APPLIED in line]
        more = f", and {len(said) - 1} before it" if len(said) > 1 else ""
        return said[0] + more if said else "nothing to apply"

    def _said(self, lines: int, execution: str = "") -> list[str]:
        """The last lines of the job, or of one execution of it, the newest first."""
        chosen = f'resource.type="cloud_run_job" resource.labels.job_name="{names.MIGRATION_JOB}" textPayload:*'
        if execution:
            chosen += f' labels."run.googleapis.com/execution_name"="{execution}"'
        found = self.cloud.logs(identity.of_local_stack().project, chosen, newest_first=True, limit=lines)
        return [str(entry["textPayload"]).strip() for entry in found]
