"""The table of permission per RPC: every handler against it, and every RPC's refusal over the wire."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, Method, message, methods
from local_cloud.iam import permissions
from local_cloud.registry import Binding, discover
from tests.fidelity import pins

EMAIL = "nobody-much@sluice-local.iam.gserviceaccount.com"
ACCOUNT = "projects/sluice-local/serviceAccounts/" + EMAIL
RULES = permissions.rules()


def handled() -> dict[str, Binding]:
    return {b.name: b for api in discover() for b in api.rpcs.values() if b.handler is not None}


@pins(
    "iam",
    "Policies and decisions",
    "Every RPC asks for what Google's table of permission per method says (local_cloud/iam/asked, by page)",
    documented="each service's access control reference",
)
def test_every_handler_asks_for_what_the_table_says() -> None:
    found = handled()
    missing = sorted(found.keys() - RULES.keys())
    assert not missing, f"add what Google's reference says of {missing} to local_cloud/iam/asked"
    asked = {name: binding.permission for name, binding in found.items()}
    wanted = {name: None if RULES[name].by_handler else RULES[name].permission for name in found}
    assert asked == wanted


def test_the_table_names_methods_that_are_and_permissions_that_are_well_formed() -> None:
    known: set[str] = set()
    for service in {name.rpartition(".")[0] for name in RULES}:
        known |= {method.full_name for method in methods(service).values()}
    assert sorted(RULES.keys() - known) == []
    for name, rule in RULES.items():
        assert rule.source.startswith("https://"), name
        for permission in rule.permissions:
            assert permission.count(".") == 2, (name, permission)
        for permission, when in rule.besides:
            assert when, (name, permission)


def test_predefined_roles_hold_what_the_table_asks_for() -> None:
    """A permission that no role holds could be granted by nothing but a custom role: mostly a word mistyped."""
    from local_cloud.iam.roles import predefined

    held = frozenset[str]().union(*(role.permissions for role in predefined().values()))
    asked = {p for name in handled() for p in RULES[name].permissions}
    assert sorted(asked - held) == []


@pytest.fixture
async def channel(cloud: Cloud) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['service_grpc']}") as made:
        yield made


async def test_every_rpc_refuses_a_caller_without_the_permission_and_names_it(
    cloud: Cloud, channel: grpc.aio.Channel
) -> None:
    cloud.iam.accounts.create("nobody-much", message("google.iam.admin.v1.ServiceAccount")())
    token = cloud.identity.access_token(f"serviceAccount:{EMAIL}").token
    wrong = {}
    for name, binding in handled().items():
        method, rule = binding.method, RULES[name]
        assert method is not None
        if rule.permission is None or method.client_streaming or method.server_streaming or name in ASKS_LATER:
            continue
        call: Any = channel.unary_unary(method.path)
        try:
            await call(request_for(method).SerializeToString(), metadata=(("authorization", f"Bearer {token}"),))
            wrong[name] = "let through"
        except grpc.aio.AioRpcError as error:
            decision = cloud.log.decisions[-1]
            if error.code() is not grpc.StatusCode.PERMISSION_DENIED or decision.permission != rule.permission:
                wrong[name] = f"{error.code()} {error.details()} (asked {decision.permission})"
    assert wrong == {}


#: These show what the caller may see, or ask only for what is a project's own, or by whose operation it is.
ASKS_LATER = {
    *(f"google.longrunning.Operations.{verb}Operation" for verb in ("Get", "Wait", "Delete", "Cancel")),
    "google.cloud.resourcemanager.v3.Projects.ListProjects",
    "google.cloud.resourcemanager.v3.Projects.SearchProjects",
}


def request_for(method: Method) -> Message:
    """A request whose names fit the method's URL."""
    request = method.request()
    for rule in method.rules[:1]:
        template = rule.template
        while (start := template.find("{")) >= 0:
            end = template.index("}", start)
            path, _, pattern = template[start + 1 : end].partition("=")
            template = template[end + 1 :]
            target = request
            *parents, field = path.split(".")
            for parent in parents:
                target = getattr(target, parent)
            setattr(target, field, fitting(pattern or "*"))
    if method.full_name.startswith("google.iam.admin.v1.IAM.") and "Role" in method.name:
        for field in ("name", "parent"):
            if field in request.DESCRIPTOR.fields_by_name:
                own = "projects/sluice-local"
                setattr(request, field, own if field == "parent" or method.name == "ListRoles" else f"{own}/roles/r")
    return request


def fitting(pattern: str) -> str:
    if pattern == "*":
        return "sluice-local"
    known = {"projects": "sluice-local", "locations": "us-central1", "serviceAccounts": EMAIL}
    parts: list[str] = []
    for segment in pattern.split("/"):
        parts.append(known.get(parts[-1] if parts else "", "x") if segment.startswith("*") else segment)
    return "/".join(parts)
