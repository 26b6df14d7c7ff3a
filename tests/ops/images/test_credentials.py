"""Who pushes: what docker and gcloud keep, and words where nobody is known."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.images import credentials


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but what a test gives."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv(credentials.TOKEN, raising=False)


def configure(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def test_what_docker_login_kept_is_used(tmp_path: Path) -> None:
    configure(tmp_path, auths={"registry.example": {"auth": packed("me:word")}})
    assert credentials.basic("registry.example") == packed("me:word")
    assert credentials.basic("other.example") == ""


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-toy"
    helper.write_text("""#!/bin/sh\nread host\nprintf '{"Username": "u", "Secret": "%s"}' "$host"\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    configure(tmp_path, credHelpers={"a.example": "toy", "b.example": "missing"})
    assert credentials.basic("a.example") == packed("u:a.example")
    assert credentials.basic("b.example") == ""


def test_a_token_of_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, auths={"us-docker.pkg.dev": {"auth": packed("me:word")}})
    monkeypatch.setenv(credentials.TOKEN, "ya29.x")
    assert credentials.basic("us-docker.pkg.dev") == packed("oauth2accesstoken:ya29.x")


def test_googles_registry_without_credentials_says_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(OpsError, match=r"no credentials for us-docker\.pkg\.dev") as refused:
        credentials.basic("us-docker.pkg.dev")
    assert "gcloud auth application-default login" in refused.value.fix
