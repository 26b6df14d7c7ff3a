"""What `sluice adopt` holds back: the commands that put it right, and `sluice drift`, which leaves it where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_engine.estate import Estate, Thing
from ops import app
from ops.adopt import entries
from tests.local_cloud.cloud_places import PROJECT, inside
from tests.local_cloud.run_client import runner
from tests.ops.hand_made import Hand

IDENTITY = "projects/acme/locations/us-central1/services/payer"
SERVICE, JOB = "gcp:cloudrunv2/service:Service", "gcp:cloudrunv2/job:Job"


def held(token: str, template: dict[str, Any]) -> str:
    inputs = {"name": "payer", "location": "us-central1", "project": "acme", "template": template}
    thing = Thing(type=token, identity=IDENTITY, live={"name": IDENTITY}, inputs=inputs)
    [one] = entries.taken(Estate(things=[thing]), "acme").held
    return one.fix


def containers(**envs: str) -> list[dict[str, Any]]:
    return [{"envs": [{"name": name, "value": value} for name, value in envs.items()]}]


def test_drift_tells_what_was_held_back_apart_and_never_how_to_delete_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with inside(tmp_path / "cloud") as place, runner(place, tmp_path / "image") as run:
        Hand(place.rest).queue("one-queue")
        run.create("gchostpay1", env=[{"name": "SIGNING_KEY", "value": "s3cret-value"}])
        assert app.main(["adopt", "--project", PROJECT, "--cloud", place.rest, "--to", str(out)]) == 0
        capsys.readouterr()
        assert app.main(["drift", "--folder", str(out)]) == 0, "what is outside on purpose is no difference"
        text = capsys.readouterr().out
        assert app.main(["drift", "--folder", str(out), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        (out / "queue_configs/adopted/local/held.json").write_text('{"held_back": []}')
        assert app.main(["drift", "--folder", str(out)]) == 1, "but for the list it is declared nowhere"
    assert "held back by adopt: service gchostpay1" in text
    assert "delete" not in text
    assert told["findings"] == []
    [one] = told["held_back"]
    assert (one["thing"], "SIGNING_KEY" in one["why"]) == ("service gchostpay1", True)
    assert "s3cret-value" not in text + json.dumps(told)


def test_a_service_keeps_its_secrets_while_they_move_into_secret_manager() -> None:
    account = "payer-sa@acme.iam.gserviceaccount.com"
    template = {"serviceAccount": account, "containers": containers(SIGNING_KEY="s3cret", API_KEY="an0ther")}
    lines = [line for line in held(SERVICE, template).splitlines() if not line.startswith("#")]
    assert [line.split()[2] for line in lines] == ["create", "add-iam-policy-binding"] * 2 + ["services"]
    assert all(f"serviceAccount:{account}" in line for line in lines if "secretAccessor" in line)
    assert lines[-1].endswith(
        "--remove-env-vars=SIGNING_KEY,API_KEY --update-secrets=SIGNING_KEY=SIGNING_KEY:1,API_KEY=API_KEY:1"
    ), "one revision, and none without the values"


def test_a_job_without_an_account_reads_as_the_default_one() -> None:
    fix = held(JOB, {"template": {"containers": containers(SIGNING_KEY="s3cret")}})
    assert "-compute@developer.gserviceaccount.com" in fix
    assert "gcloud run jobs update payer" in fix


def test_what_is_in_no_variable_is_put_right_by_hand() -> None:
    inside_args = [{"args": ["--password", "hunter2-hunter2"], **containers(SIGNING_KEY="s3cret")[0]}]
    assert "# by hand as well: template.containers.args" in held(SERVICE, {"containers": inside_args})
    assert "put it into Secret Manager" in held(SERVICE, {"containers": [{"args": ["--password", "hunter2-hunter2"]}]})
