"""How `sluice reconcile` reaches a stack on Google Cloud: as the operator's account, with the caller's credentials."""

from __future__ import annotations

from typing import Any

import google.auth
import google.auth.exceptions
import pytest

from ops import app, rest, specs
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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def call(method: str, url: str, body: Any = None, *, headers: Any = None) -> Any:
        made.append((method, url, body, headers["Authorization"]))
        return {"token": "theirs"}

    monkeypatch.setattr(google.auth, "default", lambda scopes: (Credentials(), "p"))
    monkeypatch.setattr(rest, "call", call)
    return made


def test_doors_are_asked_as_the_operator_and_queues_as_oneself(calls: list[tuple[Any, ...]]) -> None:
    google_cloud = reach.Google("dev")
    config = google_cloud._config
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
        ("GET", f"{reach.TASKS}/v2/{google_cloud.location}/queues", None, "Bearer mine"),
    ]
    assert url.startswith("https://gcsplit-")


def test_a_public_service_behind_a_load_balancer_is_reached_there_with_the_same_audience(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stack_config(ROOT, "dev").model_copy(update={"edge": Edge(domain="pay.example.com")})
    monkeypatch.setattr(specs, "config_of", lambda _stack: config)
    google_cloud = reach.Google("dev")
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
