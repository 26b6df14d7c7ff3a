"""What the runbook has gcloud do, by the real gcloud against the stack's local cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local_cloud.gcloud import needed, session, variables
from tests.payments.stack import Stack
from tests.runbook.incident import Do, incident, whole
from tests.runbook.staging import held, state

pytestmark = [pytest.mark.stack, whole, *needed]

REGION, PROJECT = {"REGION": "us-central1"}, {"PROJECT": "sluice-local"}
MIGRATED, QUEUE = "sluice-migrate", "gchostpay3-retry-queue"


@incident(
    "Runbook",
    "Payments wait longer than usual",
    "The sweepers are silent",
    "A migration failed",
    "The rollout's record is not read",
)
def test_services_schedules_executions_and_the_record_are_seen_and_run(stack: Stack, do: Do, tmp_path: Path) -> None:
    with session(stack.rest, tmp_path) as do.gcloud:
        assert "gcsplit" in do("gcloud run services list --project PROJECT", PROJECT)
        assert "gcwebhook-sweep" in do("gcloud scheduler jobs list --location REGION", REGION)
        do("gcloud scheduler jobs run gcwebhook-sweep --location REGION --project PROJECT", REGION | PROJECT)
        do("gcloud scheduler jobs run JOB --location REGION", {"JOB": "gcsplit-sweep", **REGION})
        do("gcloud run jobs execute sluice-migrate --wait")
        assert MIGRATED in do("gcloud run jobs executions list --job sluice-migrate")
        assert "objectViewer" in do("gcloud storage buckets get-iam-policy gs://PROJECT-sluice-rollout", PROJECT)
        listed = do("gcloud storage ls --all-versions gs://PROJECT-sluice-rollout/record.json", PROJECT)
        assert "record.json#" in listed
    assert do("""./sluice logs --stack prod --filter 'jsonPayload.event="rollout_record_unread"'""")
    with held(stack, QUEUE):
        do("./sluice queues pause QUEUE --stack prod", {"QUEUE": QUEUE})
        assert state(stack, QUEUE) == "PAUSED"
    do("./sluice logs --service SERVICE --severity ERROR", {"SERVICE": "gcsplit"})


@incident("A client registers")
def test_a_client_is_invited(stack: Stack, do: Do, tmp_path: Path) -> None:
    do.environment = dict(variables(stack.rest, tmp_path))
    do("""eval "$(./sluice env)"; URL=...""", {"...": stack.status()["services"]["gcregister"]})
    do(
        "TOKEN=$(gcloud auth print-identity-token --audiences=$URL --include-email"
        " --impersonate-service-account=sluice-operator@sluice-local.iam.gserviceaccount.com)"
    )
    said = do("""curl -X POST $URL/invitations -H "Authorization: Bearer $TOKEN" -d '{"channel_id": -100123}'""")
    assert "invitation" in said
