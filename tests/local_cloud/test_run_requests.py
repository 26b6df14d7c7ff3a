"""Requests to a service of Cloud Run: what the container gets, who is let in, what callers get when it goes wrong."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import Runner, done, http, to


@pins(
    "run",
    "The front door",
    "`/run/[TAG---]SERVICE-NUMBER.REGION/` at the REST doors instead of `https://....run.app/`",
    ours=True,
)
@pins(
    "run",
    "The front door",
    "Headers: Host kept, X-Forwarded-For, X-Forwarded-Proto (http here), Forwarded, traceparent and "
    "X-Cloud-Trace-Context added or kept",
    documented="Container contract",
)
def test_request_reaches_the_container_as_cloud_run_sends_it(run: Runner) -> None:
    made = run.create("shape")
    answer = http(
        f"{made.uri}/a%20b/c?x=1&y=%2F",
        method="POST",
        body=b"hi",
        headers={"X-Own": "kept", "Authorization": "Bearer not-ours"},
    )
    seen = answer.json
    assert (answer.status, seen["path"], seen["query"], seen["body"]) == (200, "/a b/c", "x=1&y=%2F", "hi")
    headers = seen["headers"]
    assert headers["host"] == f"127.0.0.1:{run.place.ports['rest']}"
    assert headers["x-own"] == "kept"
    assert headers["authorization"] == "Bearer not-ours"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    trace = headers["traceparent"].split("-")[1]
    assert headers["x-cloud-trace-context"].startswith(trace + "/")
    assert answer.headers["x-cloud-trace-context"].startswith(trace + "/")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert http(made.uri, headers={"traceparent": parent}).json["headers"]["traceparent"] == parent
    teapot = http(f"{made.uri}/teapot")
    assert (teapot.status, teapot.headers["x-kettle"]) == (418, "on")


@pins(
    "run",
    "The front door",
    "No run.routes.invoke: 403 page without a token, 401 with one that is not valid or for another "
    "audience; the page names the binding that is missing",
    observed="front end's pages",
    ours=True,
)
@pins(
    "run",
    "The front door",
    "X-Serverless-Authorization goes before Authorization",
    documented="Service to service",
)
@pins(
    "run",
    "The front door",
    "Both headers are passed on with their signatures. Google puts SIGNATURE_REMOVED_BY_GOOGLE in "
    "the place of the signature of a token that it has checked; here it stays, so that each service "
    "also verifies the token that a queue or a schedule shows it and a fault of that check is seen "
    "before Google hides it. What a service does with a stripped token is proved by its own tests",
    ours="Authenticating service-to-service",
)
def test_refused_without_the_binding_then_let_in_with_it(run: Runner) -> None:
    made = run.create("closed", public=False)
    caller = run.account("closed-caller")
    bare = http(made.uri)
    assert bare.status == 403
    assert b"Your client does not have permission to get URL <code>/</code> from this server." in bare.body
    bearer = {"Authorization": f"Bearer {run.id_token(caller, made.uri)}"}
    refused = http(made.uri, headers=bearer)
    assert refused.status == 403
    assert b"--role=roles/run." in refused.body
    assert f"serviceAccount:{caller}".encode() in refused.body
    run.bind(made.name, "roles/run.invoker", f"serviceAccount:{caller}")
    let_in = http(made.uri, headers=bearer)
    assert let_in.status == 200
    assert let_in.json["headers"]["authorization"] == bearer["Authorization"]
    serverless = {"X-Serverless-Authorization": bearer["Authorization"], "Authorization": "Bearer other"}
    assert http(made.uri, headers=serverless).status == 200
    empty = {"X-Serverless-Authorization": "", "Authorization": bearer["Authorization"]}
    assert http(made.uri, headers=empty).status == 403
    for token in ("rubbish", run.id_token(caller, "https://elsewhere.example")):
        wrong = http(made.uri, headers={"Authorization": f"Bearer {token}"})
        assert wrong.status == 401
        assert wrong.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


@pins(
    "run",
    "The front door",
    "Audiences: the service's URL, a path below it, a tag's URL, custom audiences",
    documented="Custom audiences",
    observed="Custom audiences",
)
def test_audience_may_be_a_tags_url_or_a_custom_one(run: Runner) -> None:
    caller = run.account("audience-caller")
    service = run.service("audience", revision="audience-a")
    service.custom_audiences = ["my-audience"]
    service.traffic = [to("audience-a", 100, "stable")]
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="audience"))
    run.bind(made.name, "roles/run.invoker", f"serviceAccount:{caller}")
    [status] = made.traffic_statuses
    for audience in (made.uri, status.uri, f"{made.uri}/path", "my-audience"):
        token = run.id_token(caller, audience)
        assert http(f"{status.uri}/", headers={"Authorization": f"Bearer {token}"}).status == 200, audience


def test_crash_is_a_503_and_the_next_request_gets_a_new_instance(run: Runner) -> None:
    made = run.create("crash")
    [pid] = run.pids("crash")
    broken = http(f"{made.uri}/crash")
    assert (broken.status, broken.body) == (503, b"Service Unavailable")
    answer = http(made.uri)
    assert answer.status == 200
    assert answer.json["pid"] != pid


@pins(
    "run",
    "The front door",
    "504 after the service's timeout; 503 when the instance breaks off; 429 without a free instance for 10 s",
    documented="Troubleshooting",
)
def test_slow_answer_is_a_504_after_the_services_timeout(run: Runner, tmp_path: Path) -> None:
    made, door = run.create("slow", timeout="1s"), tmp_path / "open"
    late = http(f"{made.uri}/wait", method="POST", body=str(door).encode())
    door.touch()  # no answer before this
    assert (late.status, late.body) == (504, b"upstream request timeout")


def test_requests_above_concurrency_wait_and_all_are_answered(run: Runner, tmp_path: Path) -> None:
    made = run.create("busy", max_instance_request_concurrency=2, scaling={"max_instance_count": 2})
    door = tmp_path / "open"
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(http, f"{made.uri}/wait", method="POST", body=str(door).encode()) for _ in range(7)]
        asyncio.run(until(lambda: sum(i["in_flight"] for i in run.status()["busy"]["instances"]) == 4))
        door.touch()
        answers = [call.result() for call in calls]
    assert [a.status for a in answers] == [200] * 7
    assert len({a.json["pid"] for a in answers}) == 2


@pins(
    "run",
    "The front door",
    "Request log entries with httpRequest, trace and instance",
    documented="Logging",
)
@pins(
    "run",
    "Instances",
    "Lines of output become entries; JSON lines give severity, message, trace, labels, httpRequest",
    documented="Structured logging",
)
def test_request_log_and_output_share_the_trace(run: Runner) -> None:
    made = run.create("logged")
    line = json.dumps({"severity": "ERROR", "message": "spent", "unique_id": "U7", "logging.googleapis.com/trace": "T"})
    http(f"{made.uri}/say", method="POST", body=line.encode())
    http(f"{made.uri}/say", method="POST", body=b"plain words")
    found: dict[str, list[dict]] = {}  # type: ignore[type-arg]

    def arrived() -> bool:
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": "resource.labels.service_name=logged"}
        answer = http(f"{run.place.rest}/v2/entries:list", method="POST", body=json.dumps(body).encode())
        found.clear()
        for entry in answer.json.get("entries", []):
            found.setdefault(entry["logName"].rpartition("%2F")[2], []).append(entry)
        return len(found.get("stdout", [])) >= 3 and len(found.get("requests", [])) >= 2

    asyncio.run(until(arrived))
    structured = next(e for e in found["stdout"] if "jsonPayload" in e)
    assert structured["severity"] == "ERROR"
    assert structured["jsonPayload"] == {"message": "spent", "unique_id": "U7"}
    assert structured["trace"] == f"projects/{PROJECT}/traces/T"
    assert "plain words" in [e.get("textPayload") for e in found["stdout"]]
    request = found["requests"][0]
    assert request["httpRequest"]["status"] == 200
    assert request["httpRequest"]["requestUrl"] == f"{made.uri}/say"
    assert request["resource"]["labels"]["revision_name"] == made.latest_ready_revision.rpartition("/")[2]
    assert request["trace"].startswith(f"projects/{PROJECT}/traces/")


@pins(
    "run",
    "The front door",
    "A caller that hangs up frees its place at once",
    ours=True,
)
def test_caller_that_hangs_up_frees_its_place(run: Runner, tmp_path: Path) -> None:
    import socket

    made = run.create("hangup", max_instance_request_concurrency=1, scaling={"max_instance_count": 1})
    path = made.uri.partition(str(run.place.ports["rest"]))[2]
    with socket.create_connection(("127.0.0.1", run.place.ports["rest"])) as caller:
        body = str(tmp_path / "open").encode()
        head = f"POST {path}/wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        asyncio.run(until(lambda: any(i["in_flight"] for i in run.status()["hangup"]["instances"])))
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(http(made.uri).status))
    thread.start()
    thread.join(20)
    (tmp_path / "open").touch()
    assert answers == [200]
