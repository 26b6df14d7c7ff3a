"""A pipeline's roles are enough for its work and for no more: its accounts apply and preview on the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import local_engine
from components import ci_permissions
from local_engine import Ports, Result
from local_engine.cloud import Cloud
from local_engine.run import Mode
from tests.components.conftest import DIGEST
from tests.local_engine.local_cloud import call, running
from tests.stacks.test_apply import ROOT, apply, furnish

PROJECT = "/v1/projects/sluice-local"
#: Google binds this to the deployer under a condition that the local cloud does not have.
POLICY_ADMIN = "roles/resourcemanager.projectIamAdmin"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as ports:
        yield ports


def post(ports: Ports, path: str, body: object) -> Any:
    status, answer = call(ports, "POST", path, body)
    assert status == 200, answer
    return answer


def employ(ports: Ports, account: str, permissions: tuple[str, ...], *more: str) -> str:
    """An account with a custom role of these permissions; a token of it."""
    post(ports, f"{PROJECT}/serviceAccounts", {"accountId": account})
    role = f"{account.replace('-', '_')}_role"
    post(ports, f"{PROJECT}/roles", {"roleId": role, "role": {"includedPermissions": permissions, "stage": "GA"}})
    email = f"{account}@sluice-local.iam.gserviceaccount.com"
    policy = post(ports, f"{PROJECT}:getIamPolicy", {})
    roles = (f"projects/sluice-local/roles/{role}", *more)
    policy["bindings"] = [
        *policy.get("bindings", []),
        *({"role": one, "members": [f"serviceAccount:{email}"]} for one in roles),
    ]
    post(ports, f"{PROJECT}:setIamPolicy", {"policy": policy})
    scope = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    return str(post(ports, f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken", scope)["accessToken"])


def run_as(
    token: str, patch: pytest.MonkeyPatch, ports: Ports, state: Path, *, mode: Mode, digest: str = DIGEST
) -> Result:
    """The app's layer, by an account instead of by the project's owner."""
    with patch.context() as patched:
        shown = {"Authorization": f"Bearer {token}"}
        patched.setattr(import_module("local_engine.run"), "Cloud", partial(Cloud, authorize=lambda: shown))
        image = {"sluice:imageDigest": digest}
        return local_engine.run("local", root=ROOT, mode=mode, state_dir=state, overrides=image, ports=ports)


@pytest.mark.stack
def test_the_deployer_applies_the_app_and_the_previewer_may_only_look(
    cloud: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "engine"
    apply("foundation-local", state, {}, cloud)
    furnish(cloud, tmp_path / "image")
    deployer = employ(cloud, "sluice-deployer", ci_permissions.change(), POLICY_ADMIN)
    previewer = employ(cloud, "sluice-previewer", ci_permissions.read())

    made = run_as(deployer, monkeypatch, cloud, state, mode="up")
    assert made.ok, "\n".join(map(str, made.problems))

    looked = run_as(previewer, monkeypatch, cloud, state, mode="preview")
    assert looked.ok, "\n".join(map(str, looked.problems))
    assert [str(step.urn) for step in looked.steps if step.changes] == []
    assert (looked.changed, looked.writes) == (False, 0)
    touched = run_as(previewer, monkeypatch, cloud, state, mode="up", digest="sha256:" + "2" * 64)
    assert "PERMISSION_DENIED" in "\n".join(map(str, touched.problems))
    below = local_engine.run("foundation-local", root=ROOT, mode="preview", state_dir=state, ports=cloud)
    assert not below.changed

    gone = run_as(deployer, monkeypatch, cloud, state, mode="destroy")
    assert gone.ok, "\n".join(map(str, gone.problems))
