"""What holds of every stack's whole plan, computed from the YAML files alone: not one thing more, and none less."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import local_engine
from local_engine import Result, Step
from local_engine.resources import registry
from local_engine.values import has_unknown, plain
from tests.components.conftest import DIGEST, ROOT, WITH_OPTIONS, of_type, planned

ENVS = ("dev", "staging", "prod", f"prod{WITH_OPTIONS}")
#: Who a member of a policy may be that is nobody of ours: Google's own agents.
AGENT = re.compile(
    r"serviceAccount:(service-\d+@gcp-sa-[a-z-]+|service-\d+@serverless-robot-prod)\.iam\.gserviceaccount\.com"
)
#: All that a service may hold on the whole project (spec/service.py and DESIGN section 2 say the same of it).
SHORT_LIST = {
    "roles/cloudsql.client",
    "roles/cloudsql.instanceUser",
    "roles/cloudtrace.agent",
    "roles/monitoring.metricWriter",
}


@cache
def specs(folder: str, pattern: str = "*.yaml") -> Mapping[str, Mapping[str, Any]]:
    """Every file of a folder of specs, as plain YAML."""
    found = {}
    for path in sorted((ROOT / folder).glob(pattern)):
        name = path.parent.name if path.name == "service.yaml" else path.stem
        found[name] = yaml.safe_load(path.read_text())
    return found


def services() -> Mapping[str, Mapping[str, Any]]:
    return specs("service_code", "*/service.yaml")


def whole(env: str) -> list[Step]:
    """Both layers of an environment: what Google would be asked for."""
    return [step for layer in (f"foundation-{env}", env) for step in planned(layer).steps if step.custom]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def bound(env: str, token: str, thing: str, role: str) -> set[tuple[str, str]]:
    """(what, account id or member) of each binding of one kind and role."""
    found = [step for step in whole(env) if step.type.endswith(f":{token}") and step.inputs["role"] == role]
    return {(step.inputs[thing], _who(step.inputs["member"])) for step in found}


def _who(member: str) -> str:
    ours = re.fullmatch(r"serviceAccount:([^@]+)@sluice-\w+\.iam\.gserviceaccount\.com", member)
    return ours[1] if ours else member


def test_every_component_is_in_a_plan_that_is_looked_at() -> None:
    texts = [path.read_text() for path in (ROOT / "components").glob("*.py")]
    declared = {found for text in texts for found in re.findall(r'__init__\("(sluice:components:\w+)"', text)}
    layers = (layer for env in ENVS for layer in (f"foundation-{env}", env))
    there = {step.type for layer in layers for step in planned(layer).steps}
    assert "sluice:components:Edge" in declared
    assert declared - there == set()


@pytest.mark.parametrize("env", ENVS)
def test_no_account_of_a_service_a_queue_or_a_schedule_has_more_on_the_project_than_the_short_list(env: str) -> None:
    running = {step.inputs["accountId"] for step in _accounts(env)}
    held = [step for step in whole(env) if step.type == "gcp:projects/iAMMember:IAMMember"]
    roles = {step.inputs["role"] for step in held if _who(step.inputs["member"]) in running}
    assert roles <= SHORT_LIST
    assert roles >= {"roles/cloudsql.client", "roles/cloudsql.instanceUser"}
    assert not [step for step in whole(env) if step.type.endswith(("IAMPolicy", "IAMBinding", "iAMBinding"))]


@pytest.mark.parametrize("env", ENVS)
def test_every_invoker_has_exactly_its_services(env: str) -> None:
    accounts = {(_room(env, step), step.inputs["description"]): step.inputs["accountId"] for step in _accounts(env)}
    routes = specs("queue_configs", "routes.yaml")["routes"]["routes"].values()
    hops = {route["queue"] for route in routes if (route["old"], route["new"]) == ("direct", "queue")}
    expected = set()
    for name, queue in specs("queue_configs/tasks").items():
        expected.add((queue["to"], accounts[name, f"Dispatches of {name}"]))
        if name in hops or (queue.get("token") or {}).get("breaker") is not None:
            expected |= {(queue["to"], sender) for sender in queue["from"]}
    for name, topic in specs("queue_configs/topics").items():
        expected.add((topic["to"], f"{name}-push"))
    for name, service in services().items():
        if service.get("schedules"):
            scheduler = next(made for (_, what), made in accounts.items() if what == f"Schedules of {name}")
            expected.add((name, scheduler))
        if service.get("operator_paths"):
            expected.add((name, "sluice-operator"))
        if service.get("public"):
            expected.add((name, "allUsers"))
    assert bound(env, "ServiceIamMember", "name", "roles/run.invoker") == expected


def _accounts(env: str) -> list[Step]:
    return [step for step in planned(env).steps if step.type == "gcp:serviceaccount/account:Account"]


def _room(env: str, step: Step) -> str:
    """The name of the component of the stack that a resource stands in."""
    by_urn = {one.urn: one for one in planned(env).steps}
    while step.parent in by_urn and not step.parent.endswith(f"sluice-{env.removesuffix(WITH_OPTIONS)}"):
        step = by_urn[step.parent]
    return step.name


@pytest.mark.parametrize("env", ENVS)
def test_every_secret_has_exactly_its_readers(env: str) -> None:
    expected = {(secret, name) for name, service in services().items() for secret in service.get("secrets", ())}
    assert bound(env, "SecretIamMember", "secretId", "roles/secretmanager.secretAccessor") == expected
    assert {step.inputs["role"] for step in of_type(planned(env), "SecretIamMember")} == {
        "roles/secretmanager.secretAccessor"
    }
    mounted = set()
    for step in planned(env).steps:
        if step.type == "gcp:cloudrunv2/service:Service":
            (container,) = step.inputs["template"]["containers"]
            references = [variable.get("valueSource", {}).get("secretKeyRef") for variable in container["envs"]]
            mounted |= {(str(one["secret"]).rpartition("/")[2], step.name) for one in references if one}
    assert mounted == expected


def test_every_queue_has_a_depth_alert_and_an_age_alert() -> None:
    """A policy over a metric of all queues, with a series a queue, or one that names the queue."""
    for env in ENVS:
        conditions = [
            condition["conditionThreshold"]
            for step in of_type(planned(env), "AlertPolicy")
            if step.custom
            for condition in step.inputs["conditions"]
            if "conditionThreshold" in condition
        ]
        wanted = (
            ('"cloudtasks.googleapis.com/queue/depth"', "resource.label.queue_id"),
            ('"logging.googleapis.com/user/task_age"', "metric.label.queue"),
        )
        for queue in specs("queue_configs/tasks"):
            for metric, label in wanted:
                assert any(_covers(condition, metric, label, queue) for condition in conditions), (env, queue, metric)


def _covers(condition: Mapping[str, Any], metric: str, label: str, queue: str) -> bool:
    of_metric, *others = [part for part in condition["filter"].split(" AND ") if not part.startswith("resource.type=")]
    if of_metric != f"metric.type={metric}":
        return False
    return f'"{queue}"' in condition["filter"] or (
        not others and label in condition["aggregations"][-1].get("groupByFields", ())
    )


@pytest.mark.parametrize("env", ENVS)
def test_nothing_refers_to_the_latest_of_anything(env: str) -> None:
    moving = re.compile(r"(^|[:/_@])latest$|_LATEST$", re.I)
    found = {
        (step.type, step.name, text) for step in whole(env) for text in strings(step.inputs) if moving.search(text)
    }
    assert found == set()


def test_a_dashboard_says_nothing_that_google_leaves_out_of_its_answer() -> None:
    def left_out(value: Any) -> bool:
        if isinstance(value, dict):
            return any(item in ("", 0, None) or left_out(item) for item in value.values())
        return isinstance(value, list) and any(map(left_out, value))

    boards = of_type(planned("prod"), "Dashboard")
    assert boards
    assert [board.name for board in boards if left_out(json.loads(board.inputs["dashboardJson"]))] == []


@pytest.mark.parametrize("env", ENVS)
def test_everybody_may_do_nothing_but_call_a_declared_public_door(env: str) -> None:
    everybody = [step for step in whole(env) if set(strings(step.inputs)) & {"allUsers", "allAuthenticatedUsers"}]
    assert {(step.inputs["name"], step.inputs["role"]) for step in everybody} == {
        (name, "roles/run.invoker") for name, service in services().items() if service.get("public")
    }
    assert {step.type for step in everybody} == {"gcp:cloudrunv2/serviceIamMember:ServiceIamMember"}


@pytest.mark.parametrize("env", ENVS)
def test_no_two_resources_share_an_urn_or_a_name_in_the_cloud(env: str) -> None:
    urns = Counter(step.urn for layer in (f"foundation-{env}", env) for step in planned(layer).steps)
    assert {urn for urn, times in urns.items() if times > 1} == set()
    known = [step for step in whole(env) if not has_unknown(step.inputs)]
    identities = Counter(
        (step.type, identity)
        for step in known
        if (identity := registry()[step.type].identity(plain(dict(step.inputs))))
    )
    assert {one for one, times in identities.items() if times > 1} == set()


@pytest.mark.parametrize("env", ENVS)
def test_what_a_thing_needs_stands_before_it(env: str) -> None:
    result = planned(env)
    by_urn = {step.urn: step for step in result.steps}
    everything: dict[str, set[str]] = {}

    def before(urn: str) -> set[str]:
        if urn not in everything:
            everything[urn] = set()
            needs = [one for one in by_urn[urn].dependencies if one in by_urn]
            everything[urn] = set(needs).union(*map(before, needs))
        return everything[urn]

    def needed(step: Step) -> set[tuple[str, str]]:
        return {(by_urn[urn].type.rpartition(":")[2], by_urn[urn].name) for urn in before(step.urn)}

    for step in result.steps:
        if step.type == "gcp:cloudrunv2/service:Service":
            service = services()[step.name]
            expected = {("SecretIamMember", f"{step.name}-{secret}") for secret in service.get("secrets", ())}
            expected |= (
                {("Job", "sluice-migrate"), ("User", f"{step.name}-login")} if service.get("database") else set()
            )
            assert expected | {("Account", step.name)} <= needed(step)
        elif step.type == "gcp:cloudscheduler/job:Job":
            host = step.inputs["httpTarget"]["oidcToken"]["audience"].removeprefix("https://")
            assert ("Service", host.partition(".")[0].rpartition("-")[0]) in needed(step)
        elif step.type == "gcp:pubsub/subscription:Subscription" and "deadLetterPolicy" in step.inputs:
            topic = step.inputs["name"].removesuffix("-sub")
            assert {("Topic", topic), ("Topic", f"{topic}-dlq")} <= needed(step)


def project(folder: Path) -> Path:
    """The repository's specs and program in a folder of their own."""
    for room in ("queue_configs", "stacks", "dashboards"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "service_code").glob("*/service.yaml"):
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "runbook.md", folder / "docs")
    return folder


def plan_of(root: Path) -> Result:
    given = {"sluice:imageDigest": DIGEST}
    result = local_engine.run("prod", root=root, mode="preview", state_dir=None, offline=True, overrides=given)
    assert result.ok, result.problems
    return result


def backwards(value: Any) -> Any:
    """The same value with every mapping's keys the other way round."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def test_neither_the_order_of_files_nor_that_of_keys_is_in_the_plan_and_a_new_queue_renames_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "project")
    before = plan_of(root)
    for path in [*(root / "queue_configs").rglob("*.yaml"), *(root / "service_code").rglob("*.yaml")]:
        schema = path.read_text().splitlines()[0]
        turned = yaml.safe_dump(backwards(yaml.safe_load(path.read_text())), sort_keys=False)
        path.write_text(f"{schema}\n{turned}")
    for method in ("glob", "rglob", "iterdir"):
        real = getattr(Path, method)
        monkeypatch.setattr(Path, method, lambda *given, real=real: reversed(list(real(*given))))
    turned_plan = plan_of(root)
    assert [step.as_json() for step in turned_plan.steps] == [step.as_json() for step in before.steps]
    assert turned_plan.outputs == before.outputs
    monkeypatch.undo()
    tasks = root / "queue_configs" / "tasks"
    shutil.copy(tasks / "split-payment-queue.yaml", tasks / "a-queue-before-all-others-queue.yaml")
    after = {step.urn for step in plan_of(root).steps}
    new = after - {step.urn for step in before.steps}
    assert {step.urn for step in before.steps} <= after
    assert new
    assert all("a-queue-before-all-others" in urn for urn in new)
