"""`sluice env`: lines that point gcloud, Google's client libraries, Terraform and Pulumi at a local cloud.

Owns which variables those tools read, one function a tool. Sources: gcloud's properties; google-auth and its sisters
in other languages (the metadata server's address); the google-beta provider (services/*/product.go, and
transport/config.go of earlier releases), which pulumi-gcp is built upon.
"""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ops import clouds
from ops.cloud import LocalCloud
from ops.clouds import WhichCloud
from ops.errors import OpsError
from ops.output import Output

#: gcloud's names of the APIs that the local cloud serves, and of those that it refuses in words of its own; each takes
#: an endpoint of its own.
GCLOUD_APIS = [
    "cloudtasks", "run", "iam", "iamcredentials", "secretmanager", "logging", "cloudscheduler",
    "cloudresourcemanager", "serviceusage", "artifactregistry", "sql", "appengine", "monitoring", "pubsub",
    "cloudkms", "storage",
]  # fmt: skip


#: Any token does at the owner's door; gcloud and the provider want one to be there.
TOKEN = "local"


def gcloud_variables(project: str, location: str, rest: str) -> dict[str, str]:
    """What points an unmodified gcloud at the REST door.

    `gcloud run` puts `REGION-` before the host of its endpoint, a name that nothing resolves here. As its own proxy the
    door gets such calls whole, host and all; and with a proxy that tunnels nowhere no command can reach Google instead.
    """
    host, _, port = rest.partition("//")[2].partition(":")
    return {
        "CLOUDSDK_CORE_PROJECT": project,
        # Not AUTH_DISABLE_CREDENTIALS: with it gcloud drops --impersonate-service-account without a word.
        "CLOUDSDK_AUTH_ACCESS_TOKEN": TOKEN,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        # `gcloud run deploy --add-cloudsql-instances` would ask, and without prompts give up, for an API not here.
        "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false",
        "CLOUDSDK_RUN_REGION": location,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{rest}/" for api in GCLOUD_APIS},
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": host,
        "CLOUDSDK_PROXY_PORT": port,
    }


#: The provider's endpoints by the middle of their variable's name, with the path that each product's base URL has.
PROVIDER_ENDPOINTS = {
    "ARTIFACT_REGISTRY": "/v1/", "BILLING_BUDGETS": "/v1/", "BINARY_AUTHORIZATION": "/v1/", "CLOUD_BILLING": "/v1/",
    "CLOUD_RESOURCE_MANAGER": "/v1/", "CLOUD_RUN": "/", "CLOUD_RUN_V2": "/v2/", "CLOUD_SCHEDULER": "/v1/",
    "CLOUD_TASKS": "/v2/", "COMPUTE": "/compute/v1/", "IAM": "/v1/", "IAM_BETA": "/v1/", "IAM_CREDENTIALS": "/v1/",
    "KMS": "/v1/", "LOGGING": "/v2/", "MONITORING": "/", "PUBSUB": "/v1/", "RESOURCE_MANAGER": "/v1/",
    "RESOURCE_MANAGER_V3": "/v3/", "SECRET_MANAGER": "/v1/", "SERVICE_NETWORKING": "/v1/", "SERVICE_USAGE": "/v1/",
    "SQL": "/sql/v1beta4/", "STORAGE": "/storage/v1/",
}  # fmt: skip


#: Pulumi's engine writes a folder's whole state after each step, which is quadratic: 1,000 resources take it a minute
#: and a half. Without that it is some ten seconds; what a crash then loses is a local stack, which is made anew.
LOCAL_STATE = {"PULUMI_EXPERIMENTAL": "1", "PULUMI_SKIP_CHECKPOINTS": "1"}


def client_variables(project: str, rest: str) -> dict[str, str]:
    """What Google's client libraries read: the project, and the owner's door as metadata server, for credentials.

    Those of Pub/Sub go to PUBSUB_EMULATOR_HOST, without credentials. No library of Google's reads an endpoint for
    Cloud Tasks, Run or IAM from the environment: CLOUD_TASKS_EMULATOR_HOST is what applications that speak to an
    emulator are used to read.
    """
    address = rest.partition("//")[2]
    return {
        "GOOGLE_CLOUD_PROJECT": project,
        "GCE_METADATA_HOST": address,
        "GCE_METADATA_IP": address,
        "CLOUD_TASKS_EMULATOR_HOST": address,
        "STORAGE_EMULATOR_HOST": rest,
        "PUBSUB_EMULATOR_HOST": address,
    }


def provider_variables(project: str, location: str, rest: str) -> dict[str, str]:
    """What the google providers of Terraform and Pulumi read. Pulumi's would ask Compute for its regions first."""
    return {
        "GOOGLE_PROJECT": project,
        "GOOGLE_REGION": location,
        "GOOGLE_OAUTH_ACCESS_TOKEN": TOKEN,
        "PULUMI_GCP_SKIP_REGION_VALIDATION": "true",
        **LOCAL_STATE,
        **{f"GOOGLE_{name}_CUSTOM_ENDPOINT": f"{rest}{path}" for name, path in PROVIDER_ENDPOINTS.items()},
    }


class Form(StrEnum):
    """How the variables are written."""

    shell = "shell"
    fish = "fish"
    dotenv = "dotenv"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("env", help='Point gcloud and clients here: eval "$(./sluice env)"')(env)


def env(
    *,
    form: Annotated[
        Form, typer.Option("--format", help="For sh and its kin, fish, an env file, or JSON.")
    ] = Form.shell,
    unset: Annotated[bool, typer.Option("--unset", help="Print lines that take the variables back.")] = False,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print the variables."""
    out = Output(as_json=as_json or form is Form.json)
    if unset:
        line = "set -e {};" if form is Form.fish else "unset {}"
        for name in variables("", "", "http://:", "", alone=True):
            out.plain(line.format(name))
        return
    try:
        cloud = clouds.find(which)
        status = cloud.status()
    except OpsError:
        if form is Form.shell and not (as_json or sys.stdout.isatty()):
            out.plain("false")  # so that `eval` of it fails too, before a command that follows means another cloud
        raise
    values = variables(
        status["project"], status["location"], cloud.rest, cloud.grpc, alone=not isinstance(cloud, LocalCloud)
    )
    line = {Form.fish: "set -gx {} {};", Form.dotenv: "{}={}"}.get(form, "export {}={}")
    for name, value in values.items():
        out.plain(line.format(name, value if form is Form.dotenv else shlex.quote(value)))
    out.result(values)


def variables(project: str, location: str, rest: str, grpc: str, *, alone: bool) -> dict[str, str]:
    """All of them. Which cloud later commands mean is said for one that runs by itself: a stack's is its home's."""
    return {
        **gcloud_variables(project, location, rest),
        **client_variables(project, rest),
        **provider_variables(project, location, rest),
        "SLUICE_REST": rest,
        "SLUICE_GRPC": grpc,
        **({"SLUICE_CLOUD": rest} if alone else {}),
    }
