"""One deployer a project: while somebody has claimed it, writes of Pulumi's and Terraform's providers are refused.

Two tools that deploy the same names take each other's resources over or delete them, and neither can see the other's
state. So a tool that keeps a state says whose the project is (`PUT /_sluice/deployers/<its stack>`), and takes it back
when nothing of it is left. Reads, previews, gcloud and Google's clients go on; nothing is refused where nobody claims.
Owns the claims and the refusal. Source: ours; the real service has no such thing.
"""

from collections.abc import Mapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import failed_precondition, invalid
from local_cloud.registry import Api, Binding, Call, HttpRequest

API = Api("deployers")

#: How the providers name themselves in User-Agent, and what people call them.
TOOLS = {"Pulumi/": "Pulumi", "Terraform/": "Terraform"}
#: Verbs of permissions that change nothing.
READS = ("get", "list", "search", "test")


class Deployers:
    """The claims, by the stack that they are for."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.claims = cloud.store.json("deployers")
        self.watch()

    def watch(self) -> None:
        """Ask of every call only while there is something to ask."""
        self._cloud.refuses = self._refuse if len(self.claims) else None

    def _refuse(self, binding: Binding, metadata: Mapping[str, str]) -> None:
        agent = metadata.get("user-agent", "")
        tool = next((name for mark, name in TOOLS.items() if mark in agent), None)
        if tool is None or binding.permission is None or binding.permission.rpartition(".")[2].startswith(READS):
            return
        stack, claim = self.claims.items()[0]
        raise failed_precondition(
            f"This local cloud belongs to `{claim['by']}` (stack {stack}), and a project has one deployer: {tool} "
            f"would take over or delete what it does not know of. Nothing was changed. {claim['free']}, or start a "
            "cloud of its own for the other."
        )


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    cloud.provide(Deployers(cloud))


@API.route("GET", "/_sluice/deployers", owner_only=True)
async def claims(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Whose the project is, by stack."""
    return {"deployers": dict(cloud.use(Deployers).claims.items())}


@API.route("PUT", "/_sluice/deployers/{stack}", owner_only=True)
async def claim(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Say that a stack's deployer is `by`, and what sets the project free."""
    said = request.json if isinstance(request.json, dict) else {}
    if set(said) != {"by", "free"} or not all(isinstance(text, str) and text for text in said.values()):
        raise invalid('Two texts are expected: {"by": "the command that deploys", "free": "What sets the cloud free"}.')
    kept = cloud.use(Deployers)
    kept.claims[request.params["stack"]] = said
    kept.watch()
    return said


@API.route("DELETE", "/_sluice/deployers/{stack}", owner_only=True)
async def release(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Take a claim back; harmless where there is none."""
    kept = cloud.use(Deployers)
    kept.claims.pop(request.params["stack"])
    kept.watch()
    return {}
