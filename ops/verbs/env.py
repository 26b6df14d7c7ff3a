"""`sluice env`: export lines that point gcloud, Google's client libraries and the provider at the local cloud."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from ops.cloud import LocalCloud
from ops.home import Home
from ops.output import Output

#: gcloud's names of the APIs that the local cloud serves; each takes an endpoint of its own.
GCLOUD_APIS = [
    "cloudtasks", "run", "iam", "iamcredentials", "secretmanager", "logging", "cloudscheduler",
    "cloudresourcemanager", "serviceusage", "artifactregistry", "sqladmin", "appengine",
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("env", help='Print export lines for gcloud and the clients: eval "$(./sluice env)"')(env)


def env(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False) -> None:
    """Print the variables."""
    out = Output(as_json=as_json)
    cloud = LocalCloud(Home.find())
    status = cloud.status()
    values = {
        "CLOUDSDK_CORE_PROJECT": status["project"],
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_RUN_REGION": status["location"],
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{cloud.rest}/" for api in GCLOUD_APIS},
        "GOOGLE_CLOUD_PROJECT": status["project"],
        "SLUICE_REST": cloud.rest,
        "SLUICE_GRPC": cloud.grpc,
    }
    for name, value in values.items():
        out.plain(f"export {name}={shlex.quote(value)}")
    out.result(values)
