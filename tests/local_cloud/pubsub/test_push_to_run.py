"""Push to a running Cloud Run service: its door lets in an ID token whose account may invoke, and nothing else."""

import uuid

from tests.fidelity import pins
from tests.local_cloud.cloud_tasks.tasks_target import idle
from tests.local_cloud.pubsub.clients import Clients
from tests.local_cloud.run_client import Runner

BACKOFF = {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 10}}


@pins(
    "pubsub",
    "Push",
    "A Cloud Run service takes pushes whose account has run.invoker on it, by its URL as the audience; the others are "
    "refused at its door, 403, and delivered again once the binding is there",
    documented="Cloud Run's page on Pub/Sub",
)
def test_a_service_gets_pushes_of_invokers_only(clients: Clients, run: Runner) -> None:
    service = run.create(f"worker-{uuid.uuid4().hex[:8]}", public=False)
    email = run.account("pubsub-push")
    topic = clients.topic()
    push = {"push_endpoint": f"{service.uri}/push"}
    token = {"oidc_token": {"service_account_email": email, "audience": service.uri}}
    named, bare = (
        clients.subscription(topic, push_config={**push, **more}, retry_policy=BACKOFF) for more in (token, {})
    )
    clients.send(topic, "x")
    idle(clients.place)
    backlogs = clients.core().backlogs

    def waiting() -> list[int]:
        return [backlogs[name].stats().undelivered for name in (named, bare)]

    assert waiting() == [1, 1], "nobody may invoke it yet"
    assert clients.place.cloud is not None
    said = [event["message"] for event in clients.place.cloud.log.events if event.get("subscription") == named]
    assert "roles/run.invoker" in said[0]
    run.bind(service.name, "roles/run.invoker", f"serviceAccount:{email}")
    clients.advance(10)
    idle(clients.place)
    assert waiting() == [0, 1], "the one without a token is still refused"
