"""A rollout's writes beside Pulumi's own engine: what it sets by REST is what an apply then finds, and none is undone.

The steps are those of `ops/rollout`, by hand: record and traffic by REST, stack config, an apply of the two targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import local_engine
import spec
from local_engine import Ports
from ops.cloud import Cloud
from ops.place import Local
from ops.rollout import apply as applying
from ops.rollout import record, traffic
from ops.rollout.store import Objects
from spec.names import RECORD_OBJECT
from spec.record import encode
from tests.local_cloud.image import tiny_image
from tests.local_engine.local_cloud import call, running
from tests.stacks.pulumi_cli import ROOT, Pulumi
from tests.stacks.test_apply import furnish
from tests.stacks.test_pulumi import config

pytestmark = pytest.mark.engine

NEW = "sha256:" + "9" * 64
SERVICE = "gcsplit"


def named(change: dict[str, Any], ports: Ports) -> str:
    """What the service's template is called with a change of config."""
    overrides = config("local", ports) | change
    plan = local_engine.run("local", root=ROOT, mode="preview", state_dir=None, offline=True, overrides=overrides)
    assert plan.ok, plan.problems
    (step,) = [one for one in plan.steps if one.type == applying.SERVICE_TYPE and one.name == SERVICE]
    return str(step.inputs["template"]["revision"])


class Stack:
    """The app's stack at Pulumi's engine, and its config."""

    def __init__(self, pulumi: Pulumi, ports: Ports) -> None:
        self.pulumi, self._ports, self._said = pulumi, ports, config("local", ports)

    def write(self, change: dict[str, Any]) -> None:
        """Change the stack's config as it stands in the file."""
        self._said |= change
        path = self.pulumi.project / "stacks" / "Pulumi.local.yaml"
        kept = yaml.safe_load(path.read_text("utf-8"))
        path.write_text(yaml.safe_dump(kept | {"config": self._said}), "utf-8")

    def bytes(self) -> bytes:
        """The record that this config declares."""
        stack = spec.stack_config(ROOT, "local", self._said)
        return encode(spec.record.record(spec.load(ROOT), stack)).encode()

    def apply(self) -> str:
        """The apply of the record and the service alone."""
        targets = applying.pulumi("local", SERVICE)[3:]
        return self.pulumi.run("up", "--stack", *targets)

    def quiet(self) -> None:
        """No preview shows a change, whether it looks at the cloud or not."""
        self.pulumi.run("preview", "--diff", "--stack", "local", "--expect-no-changes")
        self.pulumi.run("preview", "--diff", "--refresh", "--stack", "local", "--expect-no-changes")


class Hands:
    """What a rollout does by REST, and the apply that follows."""

    def __init__(self, stack: Stack, ports: Ports) -> None:
        self.stack = stack
        self.here = Local(Cloud(f"http://127.0.0.1:{ports.rest}"))
        self.here.cloud.grpc = f"127.0.0.1:{ports.grpc}"
        self.objects = Objects(self.here)

    def set(self, change: dict[str, Any], roles: traffic.Roles, *, held: bool) -> None:
        """Record and traffic, then config, then the apply."""
        self.stack.write(change)
        record.release(self.objects)
        kept = self.objects.read(RECORD_OBJECT)
        self.objects.write(RECORD_OBJECT, self.stack.bytes(), over=kept.generation, hold=True)
        moved = traffic.move(self.here, self.here.run_clients().services, SERVICE, roles)
        if moved is not None:
            moved.wait()
        record.release(self.objects)
        self.stack.apply()
        again = self.objects.read(RECORD_OBJECT)
        self.objects.hold(RECORD_OBJECT, on=held, generation=again.generation)

    @property
    def live(self) -> Any:
        """The service as Cloud Run has it."""
        return self.here.call("run", "GET", f"{self.here.parent}/services/{SERVICE}")


def deployed(pulumi: Pulumi, ports: Ports, folder: Path) -> Stack:
    """Both layers, and a second image beside the first."""
    for layer in ("foundation-local", "local"):
        pulumi.init(layer, config(layer, ports))
    pulumi.up("foundation-local", "--skip-preview")
    furnish(ports, folder)
    image = tiny_image(folder, NEW)
    manifest = {"digest": NEW, "root": image.root, "entry": image.entry, "preload": image.preload}
    call(ports, "POST", "/_sluice/images", manifest)
    pulumi.up("local", "--skip-preview")
    stack = Stack(pulumi, ports)
    stack.write({})
    return stack


def test_shares_and_a_rollback_by_rest_leave_every_preview_quiet_and_a_foreign_apply_is_refused(tmp_path: Path) -> None:
    pulumi = Pulumi(tmp_path / "pulumi")
    with running(tmp_path) as ports:
        stack = deployed(pulumi, ports, tmp_path / "image")
        stack.quiet()
        hands = Hands(stack, ports)
        stable = named({}, ports)
        tried: dict[str, Any] = {"stable": stable, "digest": NEW}
        canary = named({"sluice:releases": {SERVICE: tried}}, ports)
        assert canary != stable
        tried |= {"canary": canary}

        stack.write({"sluice:releases": {SERVICE: tried}})
        pulumi.up("local", "--skip-preview")
        stack.quiet()
        both = traffic.read(hands.here, SERVICE)
        assert (both.stable, both.canary, both.percent) == (stable, canary, 0)

        for percent in (10, 50):
            share = {"sluice:canaryPercent": {SERVICE: percent}}
            hands.set(share, both, held=True)
            stack.quiet()

        stack.write({"sluice:canaryPercent": {SERVICE: 90}})
        before = hands.live
        assert "active Temporary hold" in pulumi.run("up", "--yes", "--skip-preview", "--stack", "local", ok=False)
        assert hands.live == before
        assert hands.objects.held(RECORD_OBJECT)
        stack.write(share)

        taken_back = {"stable": stable, "digest": NEW, "rolled_back": canary}
        over = {"sluice:releases": {SERVICE: taken_back}, "sluice:canaryPercent": {}}
        hands.set(over, traffic.Roles(stable=stable), held=False)
        stack.quiet()
        assert not hands.objects.held(RECORD_OBJECT)
        assert traffic.read(hands.here, SERVICE) == traffic.Roles(stable=stable)
