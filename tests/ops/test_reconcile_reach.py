"""How `reconcile`, `logs`, `dead` and `wallet` reach a stack on Google Cloud: with the caller's own credentials."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import google.auth
import google.auth.exceptions
import pytest

from ops import app, rest, specs
from ops.errors import CallFailed
from ops.google import CREDENTIALS
from ops.home import ROOT
from ops.reconcile import reach
from spec import stack_config
from spec.edge import Edge


class Credentials:
    """Somebody who is logged in."""

    valid = False
    token = "mine"

    def refresh(self, _request: Any) -> None:
        self.valid = True


def answered(monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]) -> None:
    """Whatever is called, of doors and of Google's own APIs, this answers."""

    def fetch(method: str, url: str, data: bytes | None, *, headers: Any, timeout: float) -> rest.Raw:
        assert timeout
        body = None if data is None else json.loads(data)
        return rest.Raw(json.dumps(call(method, url, body, headers=headers)).encode(), {})

    monkeypatch.setattr(rest, "call", call)
    monkeypatch.setattr(rest, "fetch", fetch)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def call(method: str, url: str, body: Any = None, *, headers: Any = None) -> Any:
        made.append((method, url, body, headers["Authorization"]))
        return {"token": "theirs"}

    monkeypatch.setattr(google.auth, "default", lambda scopes: (Credentials(), "p"))
    answered(monkeypatch, call)
    return made


def test_doors_are_asked_as_the_operator_and_queues_as_oneself(calls: list[tuple[Any, ...]]) -> None:
    google_cloud, config = reach.of_stack("dev"), specs.config_of("dev")
    url = config.url("gcsplit")
    for _ in range(2):
        google_cloud.call("gcsplit", "/reconcile/ledger")
    google_cloud.tasks(f"/v2/{google_cloud.location}/queues")
    account = f"sluice-operator@{config.project}.iam.gserviceaccount.com"
    wish = {"audience": url, "includeEmail": True}
    assert calls == [
        ("POST", f"{CREDENTIALS}/v1/projects/-/serviceAccounts/{account}:generateIdToken", wish, "Bearer mine"),
        ("GET", f"{url}/reconcile/ledger", None, "Bearer theirs"),
        ("GET", f"{url}/reconcile/ledger", None, "Bearer theirs"),
        ("GET", f"https://cloudtasks.googleapis.com/v2/{google_cloud.location}/queues", None, "Bearer mine"),
    ]
    assert url.startswith("https://gcsplit-")


def test_a_public_service_behind_a_load_balancer_is_reached_there_with_the_same_audience(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stack_config(ROOT, "dev").model_copy(update={"edge": Edge(domain="pay.example.com")})
    monkeypatch.setattr(specs, "config_of", lambda _stack: config)
    google_cloud = reach.of_stack("dev")
    google_cloud.call("paynowwebhook", "/reconcile/events")
    google_cloud.call("gcsplit", "/reconcile/ledger")
    assert [url for method, url, *_ in calls if method == "GET"] == [
        "https://paynowwebhook.pay.example.com/reconcile/events",
        f"{config.url('gcsplit')}/reconcile/ledger",
    ]
    assert calls[0][2] == {"audience": config.url("paynowwebhook"), "includeEmail": True}


def test_who_is_not_logged_in_is_told_how(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def none(scopes: list[str]) -> Any:
        raise google.auth.exceptions.DefaultCredentialsError(f"none for {scopes}")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google.auth, "default", none)
    assert app.main(["reconcile", "--stack", "dev"]) == 2  # 1 would mean findings
    assert "gcloud auth application-default login" in capsys.readouterr().err


def test_a_stack_that_is_none_is_no_matter_of_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["reconcile", "--stack", "nosuch"]) == 2
    said = capsys.readouterr().err
    assert "there is no stack 'nosuch'" in said
    assert "use one of: dev" in said


@pytest.mark.parametrize(
    ("words", "service", "path"),
    [
        (("dead", "list", "--kind", "payment"), "gcsplit", "/failed-transactions?status=open"),
        (("dead", "events"), "paynowwebhook", "/dead?status=open"),
        (("wallet", "show"), "gchostpay", "/wallet"),
    ],
)
def test_what_an_alert_tells_people_to_look_at_is_looked_at_where_the_alert_is_from(
    calls: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    service: str,
    path: str,
) -> None:
    def call(method: str, url: str, body: Any = None, *, headers: Any = None) -> Any:
        calls.append((method, url, body, headers))
        if url.startswith(CREDENTIALS):
            return {"token": "theirs"}
        raise CallFailed("answered 503", status=503)

    monkeypatch.setattr(rest, "call", call)
    assert app.main([*words, "--stack", "prod"]) == 1
    assert calls[-1][:2] == ("GET", stack_config(ROOT, "prod").url(service) + path)


def test_the_log_of_a_stack_is_read_page_by_page_and_shown_oldest_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = {
        "": {"entries": [{"insertId": "2", "timestamp": "T2", "textPayload": "newer"}], "nextPageToken": "a"},
        "a": {"nextPageToken": "b"},
        "b": {"entries": [{"insertId": "1", "timestamp": "T1", "textPayload": "older"}]},
    }
    asked: list[Any] = []

    def call(_method: str, url: str, body: Any = None, *, headers: Any = None) -> Any:
        if url.startswith(CREDENTIALS):
            return {"token": "theirs"}
        if not url.startswith("https://logging"):
            raise CallFailed("answered 404", status=404)  # the payment is in no batch
        assert headers == {"Authorization": "Bearer mine"}
        asked.append(body)
        return pages[body.get("pageToken", "")]

    monkeypatch.setattr(google.auth, "default", lambda scopes: (Credentials(), "p"))
    answered(monkeypatch, call)
    assert app.main(["logs", "--stack", "prod", "--service", "gcsplit", "--payment", "p1"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["older", "newer"]
    assert asked[0]["resourceNames"] == [f"projects/{stack_config(ROOT, 'prod').project}"]
    assert asked[0]["filter"].startswith('(jsonPayload.unique_id="p1")')
    assert asked[0]["filter"].endswith('AND resource.labels.service_name="gcsplit"')


def test_another_clouds_log_is_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["logs", "--stack", "prod", "--follow"]) == 2
    assert "gcloud logging tail" in capsys.readouterr().err
    assert app.main(["logs", "--stack", "prod", "--cloud", "127.0.0.1:1"]) == 2
