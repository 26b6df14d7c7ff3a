"""`sluice env`: export lines that point gcloud, Google's client libraries and the provider at the local cloud."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from ops.cloud import LocalCloud
from ops.home import Home
from ops.output import Output

#: gcloud's names of the APIs that the local cloud serves, and of those that it refuses in words of its own; each takes
#: an endpoint of its own.
GCLOUD_APIS = [
    "cloudtasks", "run", "iam", "iamcredentials", "secretmanager", "logging", "cloudscheduler",
    "cloudresourcemanager", "serviceusage", "artifactregistry", "sql", "appengine", "monitoring", "pubsub",
]  # fmt: skip


def gcloud_variables(project: str, location: str, rest: str) -> dict[str, str]:
    """What points an unmodified gcloud at the REST door.

    `gcloud run` puts `REGION-` before the host of its endpoint, a name that nothing resolves here. As its own proxy the
    door gets such calls whole, host and all; and with a proxy that tunnels nowhere no command can reach Google instead.
    """
    host, _, port = rest.partition("//")[2].partition(":")
    return {
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_RUN_REGION": location,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{rest}/" for api in GCLOUD_APIS},
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": host,
        "CLOUDSDK_PROXY_PORT": port,
    }


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("env", help='Print export lines for gcloud and the clients: eval "$(./sluice env)"')(env)


def env(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False) -> None:
    """Print the variables."""
    out = Output(as_json=as_json)
    cloud = LocalCloud(Home.find())
    status = cloud.status()
    values = {
        **gcloud_variables(status["project"], status["location"], cloud.rest),
        "GOOGLE_CLOUD_PROJECT": status["project"],
        "SLUICE_REST": cloud.rest,
        "SLUICE_GRPC": cloud.grpc,
    }
    for name, value in values.items():
        out.plain(f"export {name}={shlex.quote(value)}")
    out.result(values)
