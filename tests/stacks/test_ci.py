"""A pipeline's roles are enough for its work and for no more: its accounts apply and preview on the local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import local_engine
from components import ci_permissions
from components.ci_identity import ROLLOUT_READER, ROLLOUT_WRITER
from local_engine import Ports, Result
from local_engine.cloud import Cloud
from local_engine.config import endpoints, stack_config
from local_engine.run import Mode
from ops import app
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


def admit(ports: Ports, account: str, role: str) -> None:
    """Let an account into the bucket of the rollout record, as the foundation does where a repository deploys."""
    path = "/storage/v1/b/sluice-local-sluice-rollout/iam"
    status, policy = call(ports, "GET", path)
    assert status == 200, policy
    member = f"serviceAccount:{account}@sluice-local.iam.gserviceaccount.com"
    bindings = [*policy.get("bindings", []), {"role": role, "members": [member]}]
    status, answer = call(ports, "PUT", path, {**policy, "bindings": bindings})
    assert status == 200, answer


def run_as(
    token: str, patch: pytest.MonkeyPatch, ports: Ports, state: Path, *, mode: Mode, digest: str = DIGEST
) -> Result:
    """The app's layer, by an account instead of by the project's owner."""
    with patch.context() as patched:
        shown = {"Authorization": f"Bearer {token}"}
        patched.setattr(import_module("local_engine.run"), "Cloud", partial(Cloud, authorize=lambda: shown))
        image = {"sluice:imageDigest": digest}
        return local_engine.run("local", root=ROOT, mode=mode, state_dir=state, overrides=image, ports=ports)


#: What a stack is given besides; the local cloud knows no condition on what is granted, so that it is only looked at.
OPTIONS: dict[str, Any] = {
    "sluice:ci": {
        "repository": "acme/pay",
        "state_bucket": "sluice-local-pulumi",
        "state_key": "projects/sluice-local/locations/us-central1/keyRings/pulumi/cryptoKeys/state",
    },
    "sluice:budget": {"billing_account": "012345-6789AB-CDEF01", "amount": 800},
}


def keep_state(ports: Ports) -> None:
    """Where Pulumi's state would be, which is made by hand."""
    post(ports, "/storage/v1/b?project=sluice-local", {"name": "sluice-local-pulumi"})
    rings = f"{PROJECT}/locations/us-central1/keyRings"
    post(ports, f"{rings}?keyRingId=pulumi", {})
    post(ports, f"{rings}/pulumi/cryptoKeys?cryptoKeyId=state", {"purpose": "ENCRYPT_DECRYPT"})


def drift_as(token: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ports: Ports) -> dict[str, Any]:
    """What a look for drift tells an account, without a state, as in a pipeline."""
    below = stack_config(ROOT, "foundation-local", ports=ports)
    places = endpoints(stack_config(ROOT, "local", ports=ports)) | endpoints(below)
    asked = Cloud(places, attribution={}, authorize=lambda: {"Authorization": f"Bearer {token}"})
    config = {"foundation-local": OPTIONS, "local": {"sluice:imageDigest": DIGEST}}
    lookers = [
        local_engine.Looker(stack=layer, root=ROOT, cloud=asked, overrides=given, ports=ports)
        for layer, given in config.items()
    ]
    with patch.context() as patched:
        patched.setattr("ops.verbs.drift._lookers", lambda *_: lookers)
        capsys.readouterr()
        app.main(["drift", "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.mark.stack
def test_the_deployer_applies_the_app_and_the_previewer_may_only_look(
    cloud: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "engine"
    apply("foundation-local", state, {}, cloud)
    furnish(cloud, tmp_path / "image")
    keep_state(cloud)
    deployer = employ(cloud, "sluice-deployer", ci_permissions.change(), POLICY_ADMIN)
    previewer = employ(cloud, "sluice-previewer", ci_permissions.read())
    admit(cloud, "sluice-deployer", ROLLOUT_WRITER)
    admit(cloud, "sluice-previewer", ROLLOUT_READER)

    made = run_as(deployer, monkeypatch, cloud, state, mode="up")
    assert made.ok, "\n".join(map(str, made.problems))

    for token in (deployer, previewer):
        told = drift_as(token, monkeypatch, capsys, cloud)
        assert told["not_looked"] == []
        assert {one["thing"].split()[0] for one in told["findings"] if one["kind"] == "paused"} == {"queue"}
        assert {one["thing"].split()[0] for one in told["findings"] if one["kind"] == "missing"} >= {"BucketIAMMember"}
        assert told["left_out"] == ["Budget budget: it is the billing account's, not the project's"]

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
