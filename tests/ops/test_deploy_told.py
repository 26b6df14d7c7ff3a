"""What `up`, and whatever else applies a layer, says of an apply that failed half way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import local_engine
from local_engine import Event, Op, Problem, Result, Step
from ops.home import Home
from ops.output import Output
from ops.stack import deploy, identity
from ops.supervisor import control

QUEUE = "gcp:cloudtasks/queue:Queue"


def test_what_depends_on_a_failure_is_counted_and_not_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failed(layer: str, *, on_event: Any, **_: Any) -> Result:
        made = [Step(op=Op.CREATE, urn="u", type=QUEUE, name="made")]
        steps = made + [Step(op=Op.SKIP, urn=f"u{n}", type=QUEUE, name=f"left-{n}") for n in range(100)]
        for step in steps:
            on_event(Event(kind="done", step=step))
        problem = Problem(what="the record is held", where="stack local", fix="wait")
        return Result(stack=layer, mode="up", compared_with="nothing", steps=steps, problems=[problem])

    monkeypatch.setattr(local_engine, "run", failed)
    monkeypatch.setattr(control, "running", lambda _: True)
    monkeypatch.setattr(identity, "overrides", lambda *_: {})
    home = Home(tmp_path)
    home.prepare()
    home.choose_ports()
    with pytest.raises(deploy.DeployFailed) as caught:
        deploy.app_layer(home, Output(as_json=False), "sha256:0")
    assert "the record is held" in caught.value.what
    assert "100 resources not attempted: what they depend on failed" in caught.value.what
    said = capsys.readouterr().out
    assert "made" in said
    assert "left-" not in said
