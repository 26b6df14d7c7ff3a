"""IAM admin, Resource Manager and Service Usage on the wire, with the calls that the real gcp provider makes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.cloud_places import ROOT
from tests.local_cloud.conftest import Rest

BASE = "/v1/projects/sluice-local"
EMAIL = "gcsplit@sluice-local.iam.gserviceaccount.com"
ACCOUNT = f"{BASE}/serviceAccounts/{EMAIL}"

#: Which recorded endpoints these tests stand for.
ENDPOINTS = ("iamBeta", "cloudResourceManager", "serviceUsage")


@pins(
    "iam",
    "Accounts, roles, project, services",
    "Accounts: create, get by e-mail or unique id, list, PATCH by mask, PUT, disable, delete, undelete within 30 days",
    documented="iam.proto",
)
async def test_accounts_are_made_read_changed_and_deleted(rest: Rest) -> None:
    body: Any = {"accountId": "gcsplit", "serviceAccount": {"displayName": "a"}}
    made = await rest.ok("POST", f"{BASE}/serviceAccounts", body)
    assert (made["email"], made["displayName"], made["projectId"]) == (EMAIL, "a", "sluice-local")
    assert made["uniqueId"].isdigit()
    assert await rest.ok("GET", ACCOUNT) == made
    assert await rest.ok("GET", f"{BASE}/serviceAccounts/{made['uniqueId']}") == made
    status, body = await rest("POST", f"{BASE}/serviceAccounts", {"accountId": "gcsplit"})
    assert (status, body["error"]["message"]) == (
        409,
        "Service account gcsplit already exists within project projects/sluice-local.",
    )
    body = {"serviceAccount": {"displayName": "b", "description": "d"}, "updateMask": "display_name"}
    changed = await rest.ok("PATCH", ACCOUNT, body)
    assert (changed["displayName"], changed.get("description")) == ("b", None)
    assert await rest.ok("DELETE", ACCOUNT) == {}
    status, body = await rest("GET", ACCOUNT)
    assert (status, body["error"]["message"]) == (404, f"Unknown service account: {EMAIL}")
    again = await rest.ok("POST", f"{BASE}/serviceAccounts/{made['uniqueId']}:undelete", {})
    assert again["restoredAccount"]["email"] == EMAIL


@pins(
    "iam",
    "Accounts, roles, project, services",
    "Account ids: 6 to 30 characters",
    documented="iam.proto",
)
@pytest.mark.parametrize("account_id", ["short", "x" * 31, "Capitals", "1digit-first", "ends-with-", "under_score", ""])
async def test_bad_account_ids_are_refused(rest: Rest, account_id: str) -> None:
    assert (await rest("POST", f"{BASE}/serviceAccounts", {"accountId": account_id}))[0] == 400


async def test_lists_come_in_pages(rest: Rest) -> None:
    for n in range(5):
        await rest.ok("POST", f"{BASE}/serviceAccounts", {"accountId": f"account-{n}"})
    seen, token = [], ""
    while True:
        answer = await rest.ok("GET", f"{BASE}/serviceAccounts?pageSize=2&pageToken={token}")
        seen += [account["email"].partition("@")[0] for account in answer["accounts"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert seen == [f"account-{n}" for n in range(5)]
    assert (await rest("GET", f"{BASE}/serviceAccounts?pageToken=nonsense"))[0] == 400
    assert (await rest("GET", f"{BASE}/serviceAccounts?pageSize=-1"))[0] == 400


@pins(
    "iam",
    "Accounts, roles, project, services",
    "Custom roles: soft delete, 7 days to undelete, the id taken for 37 days",
    documented="creating custom roles",
)
@pins(
    "iam",
    "Accounts, roles, project, services",
    "Names of permissions are checked for their form only",
    ours=True,
)
async def test_custom_roles_are_deleted_softly(cloud: Cloud, rest: Rest) -> None:
    role = {"title": "Create tasks", "includedPermissions": ["cloudtasks.tasks.create"], "stage": "GA"}
    name = f"{BASE}/roles/sluiceTaskCreator"
    assert (await rest("GET", name))[0] == 404
    made = await rest.ok("POST", f"{BASE}/roles", {"roleId": "sluiceTaskCreator", "role": role})
    assert (made["name"], made["stage"]) == ("projects/sluice-local/roles/sluiceTaskCreator", "GA")
    assert (await rest("POST", f"{BASE}/roles", {"roleId": "sluiceTaskCreator", "role": role}))[0] == 409
    changed = await rest.ok("PATCH", f"{name}?updateMask=title", {"title": "T", "includedPermissions": []})
    assert (changed["title"], changed["includedPermissions"]) == ("T", ["cloudtasks.tasks.create"])
    status, _ = await rest("PATCH", name, {"title": "late", "etag": made["etag"]})
    assert status == 409
    assert (await rest.ok("DELETE", name))["deleted"] is True
    assert (await rest.ok("GET", name))["deleted"] is True
    assert await rest.ok("GET", f"{BASE}/roles") == {}
    assert len((await rest.ok("GET", f"{BASE}/roles?showDeleted=true"))["roles"]) == 1
    status, body = await rest("POST", f"{BASE}/roles", {"roleId": "sluiceTaskCreator", "role": role})
    assert (status, body["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert "deleted" not in await rest.ok("POST", f"{name}:undelete", {})
    await rest.ok("DELETE", name)
    await cloud.clock.advance(8 * 86400)
    assert (await rest("POST", f"{name}:undelete", {}))[0] == 400
    await cloud.clock.advance(30 * 86400)
    await rest.ok("POST", f"{BASE}/roles", {"roleId": "sluiceTaskCreator", "role": role})
    assert (await rest("POST", f"{BASE}/roles", {"roleId": "bad id", "role": role}))[0] == 400
    assert (await rest("POST", f"{BASE}/roles", {"roleId": "bad", "role": {"includedPermissions": ["x"]}}))[0] == 400


async def test_googles_roles_are_listed_with_what_they_hold(rest: Rest) -> None:
    listed = await rest.ok("GET", "/v1/roles?pageSize=1000&view=FULL")
    roles = {role["name"]: role for role in listed["roles"]}
    assert "iam.serviceAccounts.actAs" in roles["roles/iam.serviceAccountUser"]["includedPermissions"]
    one = await rest.ok("GET", "/v1/roles/secretmanager.secretAccessor")
    assert "secretmanager.versions.access" in one["includedPermissions"]
    assert (await rest("GET", "/v1/roles/no.such"))[0] == 404


@pins(
    "iam",
    "Policies and decisions",
    "testIamPermissions needs no permission",
    documented="iam_policy.proto",
)
async def test_policies_of_accounts_decide_who_may_act_as_them(rest: Rest, as_account: Callable[[str], Rest]) -> None:
    split = as_account("gcsplit")
    path = f"{BASE}/serviceAccounts/split-payment-invoker@sluice-local.iam.gserviceaccount.com"
    await rest.ok("POST", f"{BASE}/serviceAccounts", {"accountId": "split-payment-invoker"})
    policy = await rest.ok("POST", f"{path}:getIamPolicy?options.requestedPolicyVersion=3")
    asked = {"permissions": ["iam.serviceAccounts.actAs", "iam.serviceAccounts.delete"]}
    assert await split.ok("POST", f"{path}:testIamPermissions", asked) == {}
    policy["bindings"] = [{"role": "roles/iam.serviceAccountUser", "members": [f"serviceAccount:{EMAIL}"]}]
    written = await rest.ok("POST", f"{path}:setIamPolicy", {"policy": policy})
    assert await rest.ok("POST", f"{path}:getIamPolicy") == written
    assert await split.ok("POST", f"{path}:testIamPermissions", asked) == {"permissions": ["iam.serviceAccounts.actAs"]}
    assert (await split("POST", f"{path}:setIamPolicy", {"policy": policy}))[0] == 403
    status, _ = await rest("POST", f"{BASE}/serviceAccounts/no@no.no:getIamPolicy")
    assert status == 404


@pins(
    "iam",
    "Accounts, roles, project, services",
    "Project v1 and v3: get, list, search, policy; one project",
    documented="Resource Manager",
)
async def test_the_project_has_a_number_and_a_policy(rest: Rest) -> None:
    assert (await rest.ok("GET", BASE))["projectNumber"] == "123456789012"
    assert (await rest.ok("GET", "/v1/projects/123456789012"))["projectId"] == "sluice-local"
    assert (await rest.ok("GET", "/v3/projects/sluice-local"))["name"] == "projects/123456789012"
    policy = await rest.ok("POST", f"{BASE}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
    policy["bindings"] = [{"role": "roles/logging.logWriter", "members": ["allAuthenticatedUsers"]}]
    body = {"policy": policy, "updateMask": "bindings,etag,auditConfigs"}
    written = await rest.ok("POST", f"{BASE}:setIamPolicy", body)
    assert written["bindings"] == policy["bindings"]
    assert await rest.ok("POST", "/v3/projects/sluice-local:getIamPolicy", {}) == written
    status, answer = await rest("POST", f"{BASE}:setIamPolicy", body)
    assert (status, answer["error"]["status"]) == (409, "ABORTED")
    status, answer = await rest("POST", f"{BASE}:setIamPolicy", {"polizy": {}})
    assert (status, 'Unknown name "polizy"' in answer["error"]["message"]) == (400, True)


def recorded() -> list[Any]:
    path = ROOT.parent / "shared" / "conformance" / "provider_calls.json"
    if not path.exists():
        return []
    calls = json.loads(Path(path).read_text())
    order = ("create", "refresh", "update")
    return [call for phase in order for call in calls[phase] if call["endpoint"] in ENDPOINTS]


@pins(
    "iam",
    "Accounts, roles, project, services",
    "The provider's recorded calls",
    observed="provider_calls.json",
)
async def test_every_recorded_call_of_the_provider_is_accepted(rest: Rest) -> None:
    calls = recorded()
    if not calls:
        pytest.skip("the recorded calls (shared/conformance/provider_calls.json) are not beside this checkout")
    from urllib.parse import urlencode

    etags: dict[str, str] = {}
    for call in calls:
        verb, _, path = call["call"].partition(" ")
        raw = json.dumps(call.get("body")).replace("@rec.iam", "@sluice-local.iam").replace("projects/rec", BASE[4:])
        body = json.loads(raw)
        target = path.replace("/projects/rec", "/projects/sluice-local").replace("@rec.iam", "@sluice-local.iam")
        resource = target.rpartition(":")[0]
        if target.endswith(":setIamPolicy"):
            body["policy"]["etag"] = etags[resource]
        query = f"?{urlencode(call['query'])}" if call.get("query") else ""
        status, answer = await rest(verb, target + query, body)
        assert status == call.get("answered", 200), (call, answer)
        if target.endswith(":getIamPolicy"):
            etags[resource] = answer["etag"]
    assert (await rest.ok("GET", ACCOUNT))["displayName"] == "split"
