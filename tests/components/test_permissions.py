"""Permissions fall out of the drawing: each that it needs, and not one more."""

from __future__ import annotations

from collections.abc import Callable

from local_engine import Result
from spec import load, names
from spec.permissions import EVERYBODY, PUBSUB_AGENT, grants
from spec.service import PROJECT_ROLES
from tests.components.conftest import ROOT, of_type

Plan = Callable[[str], Result]


def account(name: str) -> str:
    return f"serviceAccount:{name}@sluice-prod.iam.gserviceaccount.com"


def bindings(result: Result, token: str, thing: str) -> set[tuple[str, str, str]]:
    return {(step.inputs[thing], step.inputs["role"], step.inputs["member"]) for step in of_type(result, token)}


def test_senders_may_create_tasks_on_their_queues_and_nothing_else(plan: Plan) -> None:
    role = "projects/sluice-prod/roles/sluiceTaskCreator"
    assert bindings(plan("prod"), "QueueIamMember", "name") == {
        (queue.name, role, account(sender)) for queue in load(ROOT).queues.values() for sender in queue.senders
    }
    (custom,) = of_type(plan("foundation-prod"), "IAMCustomRole")
    assert custom.inputs["permissions"] == ["cloudtasks.tasks.create"]


def test_senders_act_as_the_invoker_of_their_queue_alone(plan: Plan) -> None:
    found = {
        (step.inputs["serviceAccountId"].rsplit("/", 1)[1].split("@")[0], step.inputs["member"])
        for step in of_type(plan("prod"), "IAMMember")
        if step.type.startswith("gcp:serviceaccount/") and step.inputs["role"] == "roles/iam.serviceAccountUser"
    }
    assert ("split-payment-invoker", account("gcwebhook")) in found
    assert ("hostpay-execution-invoker", account("gcsplit")) in found
    assert len(found) == sum(len(queue.senders) for queue in load(ROOT).queues.values())


def test_a_service_is_called_by_its_queues_its_schedule_and_the_operator(plan: Plan) -> None:
    system = load(ROOT)
    callers = [(service, caller) for service in system.services for caller in system.invokers(service)]
    expected = {(service, "roles/run.invoker", account(caller)) for service, caller in callers}
    public = {(name, "roles/run.invoker", "allUsers") for name, spec in system.services.items() if spec.public}
    assert bindings(plan("prod"), "ServiceIamMember", "name") == expected | public
    assert {name for name, _, _ in public} == {"gchostpay4", "gcregister", "gcwebhook", "paynowwebhook"}


def test_a_secret_is_read_by_who_lists_it(plan: Plan) -> None:
    system = load(ROOT)
    assert bindings(plan("prod"), "SecretIamMember", "secretId") == {
        (secret, "roles/secretmanager.secretAccessor", account(name))
        for name, spec in system.services.items()
        for secret in spec.secrets
    }


def test_roles_on_the_whole_project_come_from_the_short_list(plan: Plan) -> None:
    found = [step for step in of_type(plan("prod"), "IAMMember") if step.type.startswith("gcp:projects/")]
    assert found
    assert {step.inputs["role"] for step in found} <= set(PROJECT_ROLES)


def test_everything_runs_as_an_account_of_its_own(plan: Plan) -> None:
    accounts = {step.inputs["accountId"] for step in of_type(plan("prod"), "Account")}
    assert accounts == set(load(ROOT).account_ids())
    for step in of_type(plan("prod"), "Service"):
        assert step.inputs["template"]["serviceAccount"].split("@")[0] == step.inputs["name"]
    for step in of_type(plan("prod"), "Job"):
        if step.type.startswith("gcp:cloudscheduler/"):
            caller = step.inputs["httpTarget"]["oidcToken"]["serviceAccountEmail"]
            assert caller.split("@")[0] in {call.account_id for call in load(ROOT).schedules()}
        else:
            assert step.inputs["template"]["template"]["serviceAccount"].startswith("sluice-migrator@")


def test_the_migrator_logs_in_to_the_database_and_may_do_nothing_else(plan: Plan) -> None:
    grants = [step for step in plan("prod").steps if step.inputs.get("member") == account("sluice-migrator")]
    assert {step.inputs["role"] for step in grants} == {"roles/cloudsql.client", "roles/cloudsql.instanceUser"}
    assert {step.type for step in grants} == {"gcp:projects/iAMMember:IAMMember"}
    assert "sluice-migrator@sluice-prod.iam" in {step.inputs["name"] for step in of_type(plan("prod"), "User")}


def test_a_topic_gives_its_publishers_pubsubs_agent_and_its_receiver_what_they_need_and_no_more(plan: Plan) -> None:
    system, result = load(ROOT), plan("prod")
    agent = f"serviceAccount:{names.pubsub_agent('100000000003')}"
    expected = set()
    for topic in system.topics.values():
        dead = names.dead_letter_topic(topic.name)
        expected |= {(topic.name, "roles/pubsub.publisher", account(one)) for one in topic.publishers}
        expected |= {(dead, "roles/pubsub.publisher", one) for one in (agent, account(topic.receiver))}
    assert expected
    assert bindings(result, "TopicIAMMember", "topic") == expected
    assert bindings(result, "SubscriptionIAMMember", "subscription") == {
        (names.subscription(topic), "roles/pubsub.subscriber", agent) for topic in system.topics
    }
    mints = [step for step in of_type(result, "IAMMember") if step.inputs["role"].endswith("TokenCreator")]
    assert {
        (step.inputs["serviceAccountId"].rsplit("/", 1)[1].split("@")[0], step.inputs["member"]) for step in mints
    } == {(names.push_account_id(topic), agent) for topic in system.topics}


def test_pushes_show_a_token_for_their_receiver_and_dead_letters_never_expire(plan: Plan) -> None:
    found = {step.inputs["name"]: step.inputs for step in of_type(plan("prod"), "Subscription")}
    events, dead = found["paynow-events-sub"], found["paynow-events-dlq-sub"]
    url = "https://paynowworker-100000000003.us-central1.run.app"
    assert events["pushConfig"] == {
        "pushEndpoint": f"{url}/api/tasks/paynow/process",
        "oidcToken": {
            "serviceAccountEmail": "paynow-events-push@sluice-prod.iam.gserviceaccount.com",
            "audience": url,
        },
    }
    assert (events["enableMessageOrdering"], events["ackDeadlineSeconds"]) == (True, 600)
    assert events["deadLetterPolicy"]["maxDeliveryAttempts"] == 5
    assert events["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
    assert (dead["expirationPolicy"], dead["messageRetentionDuration"]) == ({"ttl": ""}, "1209600s")


#: Type of a binding in the plan -> kind of what it is on, and the input that names that.
BINDINGS = {
    "cloudtasks/queueIamMember": ("queue", "name"),
    "serviceaccount/iAMMember": ("account", "serviceAccountId"),
    "pubsub/topicIAMMember": ("topic", "topic"),
    "pubsub/subscriptionIAMMember": ("subscription", "subscription"),
    "cloudrunv2/serviceIamMember": ("service", "name"),
    "storage/bucketIAMMember": ("bucket", "bucket"),
    "secretmanager/secretIamMember": ("secret", "secretId"),
    "projects/iAMMember": ("project", "project"),
}


def test_the_plan_binds_exactly_what_the_drawing_gives(plan: Plan) -> None:
    agent = f"serviceAccount:{names.pubsub_agent('100000000003')}"
    said = {"allUsers": EVERYBODY, agent: PUBSUB_AGENT}
    found = []
    for step in plan("prod").steps:
        if "member" not in step.inputs:
            continue
        kind, key = BINDINGS[step.type.removeprefix("gcp:").partition(":")[0]]
        on = "the project" if kind == "project" else str(step.inputs[key]).rpartition("/")[2].partition("@")[0]
        on = on.removeprefix("sluice-prod-") if kind == "bucket" else on
        member = step.inputs["member"]
        who = said.get(member) or member.removeprefix("serviceAccount:").partition("@")[0]
        found.append((who, step.inputs["role"].removeprefix("projects/sluice-prod/roles/"), kind, on))
    given = [(grant.member, grant.role, grant.kind, grant.resource) for grant in grants(load(ROOT))]
    assert sorted(found) == sorted(given)
    assert len(set(given)) == len(given)
