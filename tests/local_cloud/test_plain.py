"""What is only kept, in the few places where keeping has a law of its own."""

from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PROJECT = "projects/sluice-local"


@pins("plain", "Control planes", "A password of a database user is not kept", ours=True)
async def test_a_database_users_password_is_nowhere_after_the_call(rest: Rest) -> None:
    instances = "/sql/v1beta4/projects/sluice-local/instances"
    await rest.ok(
        "POST", instances, {"name": "pay", "databaseVersion": "POSTGRES_16", "settings": {"tier": "db-f1-micro"}}
    )
    await rest.ok("POST", f"{instances}/pay/users", {"name": "app", "password": "a-secret-word"})
    listed = await rest.ok("GET", f"{instances}/pay/users")
    assert any(user["name"] == "app" for user in listed["items"])
    assert "a-secret-word" not in str(listed)


@pins(
    "plain",
    "Control planes",
    "A channel that a policy names is deleted by force only",
    documented="DeleteNotificationChannelRequest",
)
async def test_a_channel_that_a_policy_names_is_deleted_by_force_only(rest: Rest) -> None:
    channels, policies = f"/v3/{PROJECT}/notificationChannels", f"/v3/{PROJECT}/alertPolicies"
    channel = await rest.ok("POST", channels, {"type": "email", "labels": {"email_address": "oncall@example.com"}})
    condition = {
        "displayName": "deep",
        "conditionThreshold": {
            "filter": 'metric.type="cloudtasks.googleapis.com/queue/depth" resource.type="cloud_tasks_queue"',
            "comparison": "COMPARISON_GT",
            "thresholdValue": 100,
            "duration": "300s",
            "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MEAN"}],
        },
    }
    policy = {
        "displayName": "deep",
        "combiner": "OR",
        "conditions": [condition],
        "notificationChannels": [channel["name"]],
    }
    made = await rest.ok("POST", policies, policy)
    status, refusal = await rest("DELETE", f"/v3/{channel['name']}")
    assert (status, refusal["error"]["status"]) == (400, "FAILED_PRECONDITION")
    await rest.ok("DELETE", f"/v3/{channel['name']}?force=true")
    assert "notificationChannels" not in await rest.ok("GET", f"/v3/{made['name']}")
