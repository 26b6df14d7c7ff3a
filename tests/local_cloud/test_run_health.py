"""The health of instances by their probes, on the cloud's clock, and their CPU outside requests."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, inside
from tests.local_cloud.image import until
from tests.local_cloud.run_client import DIGEST, IMAGE, Runner, done, http, runner

GRPC_DIGEST = "sha256:" + "9" * 64


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("health")
    with inside(folder / "state") as place, runner(place, folder / "image") as made:
        made.register(GRPC_DIGEST, str(folder / "image"), "grpc_app:main")
        yield made


def deploy(run: Runner, service_id: str, template: dict[str, Any] | None = None, **container: Any) -> Any:
    declared = {"image": IMAGE, **container}
    service = run_v2.Service(template={"containers": [declared], **(template or {})})
    made = done(run.services.create_service(parent=PARENT, service=service, service_id=service_id))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    return made


def advance(run: Runner, seconds: float) -> None:
    url = f"{run.place.rest}/_sluice/clock:advance"
    assert http(url, method="POST", body=json.dumps({"seconds": seconds}).encode()).status == 200


def instances(run: Runner, service_id: str) -> list[dict[str, Any]]:
    return run.status()[service_id]["instances"]  # type: ignore[no-any-return]


def probe(kind: str, **action: Any) -> dict[str, Any]:
    return {kind: action, "period_seconds": 10, "failure_threshold": 2}


@pins(
    "run",
    "Instances",
    "An instance whose liveness probe has failed up to its threshold, by the cloud's clock, gets SIGKILL; "
    "the next request has a new one",
    documented="Health checks",
)
def test_a_sick_instance_is_killed_and_replaced(run: Runner, tmp_path: Path) -> None:
    env = [{"name": "SICK", "value": str(tmp_path / "sick")}]
    made = deploy(run, "mortal", env=env, liveness_probe=probe("http_get", path="/live"))
    [pid] = run.pids("mortal")
    advance(run, 60)
    assert run.pids("mortal") == [pid], "healthy"
    (tmp_path / f"sick.live.{pid}").touch()
    advance(run, 10)
    assert run.pids("mortal") == [pid], "one failure is not the threshold"
    advance(run, 10)
    asyncio.run(until(lambda: run.pids("mortal") != [pid]))
    assert http(made.uri).json["pid"] != pid
    asked = {
        "resourceNames": [f"projects/{PROJECT}"],
        "filter": "resource.labels.service_name=mortal AND logName:system",
    }
    said = http(f"{run.place.rest}/v2/entries:list", method="POST", body=json.dumps(asked).encode()).json["entries"]
    assert said[0]["textPayload"] == "LIVENESS HTTP path /live probe failed 2 times consecutively."


@pins(
    "run",
    "Instances",
    "An instance whose readiness probe fails gets no requests until it passes again, and is not ended",
    documented="Health checks",
)
def test_an_instance_that_is_not_ready_gets_no_requests_until_it_is(run: Runner, tmp_path: Path) -> None:
    env = [{"name": "SICK", "value": str(tmp_path / "sick")}]
    made = deploy(run, "shy", env=env, readiness_probe=probe("http_get", path="/ready"))
    [pid] = run.pids("shy")
    mark = tmp_path / f"sick.ready.{pid}"
    mark.touch()
    advance(run, 20)
    assert [i["serving"] for i in instances(run, "shy") if i["pid"] == pid] == [False]
    other = http(made.uri).json["pid"]
    assert other != pid
    assert sorted(run.pids("shy")) == sorted([pid, other])
    mark.unlink()
    (tmp_path / f"sick.ready.{other}").touch()
    advance(run, 20)
    assert http(made.uri).json["pid"] == pid


@pins("run", "Instances", "A gRPC startup probe asks the health service that it names", documented="Health checks")
def test_a_grpc_probe_asks_the_health_service(run: Runner, tmp_path: Path) -> None:
    env = [{"name": "GRPC_WELL", "value": str(tmp_path / "well")}]
    image = IMAGE.replace(DIGEST, GRPC_DIGEST)
    startup: dict[str, Any] = {"grpc": {"service": "mine"}, "period_seconds": 1, "failure_threshold": 1}
    with pytest.raises(exceptions.FailedPrecondition, match=r"startup probe \(gRPC health service\) did not succeed"):
        deploy(run, "unwell", env=env, image=image, startup_probe=startup)
    (tmp_path / "well").touch()
    startup |= {"period_seconds": 10, "failure_threshold": 12}
    made = deploy(run, "well", env=env, image=image, startup_probe=startup, ports=[{"name": "h2c"}])
    assert made.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED


@pins(
    "run", "Instances", "Probes send their own headers; their defaults are 10 s, 1 s and 3 failures", documented="Probe"
)
def test_a_probe_sends_its_headers_and_has_defaults(run: Runner) -> None:
    headers = [{"name": "X-Probe", "value": "yes"}]
    startup = {"http_get": {"path": "/needs-header", "http_headers": headers}}
    made = deploy(run, "asked", startup_probe=startup, liveness_probe={"tcp_socket": {}})
    found = made.template.containers[0]
    for seen in (found.startup_probe, found.liveness_probe):
        assert (seen.period_seconds, seen.timeout_seconds, seen.failure_threshold) == (10, 1, 3)
    assert found.liveness_probe.tcp_socket.port == 8080
    advance(run, 30)
    assert len(run.pids("asked")) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"liveness_probe": {"tcp_socket": {}, "timeout_seconds": 11}}, "must not exceed period_seconds"),
        ({"liveness_probe": {"tcp_socket": {}, "period_seconds": 3601}}, "between 1 and 3600"),
        ({"startup_probe": {"tcp_socket": {}, "period_seconds": 100}}, "must not exceed 240 seconds"),
        ({"readiness_probe": {"tcp_socket": {}, "initial_delay_seconds": 241}}, "between 0 and 240"),
        ({"liveness_probe": {"tcp_socket": {"port": 9}}}, "one port"),
    ],
)
@pins(
    "run",
    "Services and revisions",
    "Probes outside Cloud Run's bounds are refused with their field",
    documented="Health checks",
)
def test_wrong_probes_are_refused_with_their_field(run: Runner, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="_probe") as refused:
        deploy(run, "wrong", **wrong)
    assert said in refused.value.message


@pins(
    "run",
    "Instances",
    "Billed by request (cpu_idle, the default without resources): frozen 0.1 s after the last answer, "
    "awake for requests and probes",
    documented="Billing settings",
    ours="0.1 s",
)
@pins(
    "run",
    "Instances",
    "Billed by instance (resources with cpu_idle false): CPU all the time",
    documented="ResourceRequirements.cpu_idle",
)
def test_cpu_is_there_for_requests_alone_unless_it_is_paid_for(run: Runner) -> None:
    always = deploy(run, "awake", resources={"limits": {"cpu": "1", "memory": "512Mi"}})
    idle = deploy(run, "frozen")
    assert idle.template.containers[0].resources.cpu_idle
    assert not always.template.containers[0].resources.cpu_idle
    pid = http(always.uri).json["pid"]
    assert http(idle.uri).status == 200
    asyncio.run(until(lambda: [i["frozen"] for i in instances(run, "frozen")] == [True]))
    [frozen] = run.pids("frozen")
    assert state(frozen) == "T"
    assert [i["frozen"] for i in instances(run, "awake")] == [False]
    assert state(pid) != "T"
    assert http(idle.uri).json["pid"] == frozen


@pins(
    "run",
    "Instances",
    "A frozen instance has CPU again for its liveness probe and for its SIGTERM",
    documented="Health checks, Container contract",
)
def test_a_frozen_instance_wakes_for_its_probe_and_for_its_end(run: Runner, tmp_path: Path) -> None:
    env = [{"name": "AT_THE_END", "value": str(tmp_path / "end")}]
    made = deploy(run, "sleeper", env=env, liveness_probe={**probe("http_get", path="/"), "failure_threshold": 1})
    asyncio.run(until(lambda: [i["frozen"] for i in instances(run, "sleeper")] == [True]))
    [pid] = run.pids("sleeper")
    advance(run, 30)
    assert run.pids("sleeper") == [pid]
    asyncio.run(until(lambda: [i["frozen"] for i in instances(run, "sleeper")] == [True]))
    done(run.services.delete_service(name=made.name))
    asyncio.run(until((tmp_path / "end").exists))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
