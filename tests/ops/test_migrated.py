"""What a deployment says of the database is what it did itself, and not what an earlier one had said."""

from __future__ import annotations

from typing import Any, cast

import pytest

from local_engine import Event, Op, Step
from ops.cloud import LocalCloud
from ops.output import Output
from ops.stack import database
from ops.stack.identity import of_local_stack
from ops.stack.migrations import JOB, Migrations
from spec import names


class JobCloud:
    """Keeps the job's executions, with what each printed."""

    ports = None

    def __init__(self) -> None:
        self.printed: dict[str, list[str]] = {}

    def google(self, _method: str, path: str) -> dict[str, Any]:
        who = of_local_stack()
        job = f"projects/{who.project}/locations/{who.region}/jobs/{names.MIGRATION_JOB}"
        if not path.endswith("/executions"):
            return {"jobs": [{"name": job}]}
        return {"executions": [{"name": f"{job}/executions/{one}", "succeededCount": 1} for one in self.printed]}

    def logs(self, _project: str, filter_: str, *, newest_first: bool, limit: int) -> list[dict[str, str]]:
        assert newest_first
        lines = [line for one, printed in self.printed.items() if f'"{one}"' in filter_ for line in printed]
        return [{"textPayload": line} for line in reversed(lines)][:limit]


def test_a_deployment_says_what_it_has_applied_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = JobCloud()
    monkeypatch.setattr(database, "grant", lambda *_: None)

    def deployed(execution: str = "", *printed: str) -> str:
        migrations = Migrations(cast(LocalCloud, cloud), Output(as_json=False), ())
        step = Step(op=Op.UPDATE, urn="", type=JOB, name=names.MIGRATION_JOB)
        migrations(Event(kind="start", step=step))
        if execution:
            cloud.printed[execution] = list(printed)
        migrations(Event(kind="done", step=step))
        return capsys.readouterr().out

    first = deployed("one", "Applying: 1_a.sql", "Applied: 1_a.sql in 5ms", "Applied: 2_b.sql in 6ms")
    assert "database is migrated  Applied: 2_b.sql in 6ms, and 1 before it" in first
    assert "nothing to apply" in deployed("two"), "its execution found nothing and printed nothing"
    assert "nothing to apply" in deployed(), "a release that was migrated before is not executed again"
    assert "Applied: 3_c.sql" in deployed("three", "Applied: 3_c.sql in 7ms")
