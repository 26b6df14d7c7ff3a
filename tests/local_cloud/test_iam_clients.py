"""The everyday calls of Google's own clients: IAM admin, IAM credentials, Resource Manager, Service Usage."""

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509 import load_pem_x509_certificate
from google.api_core import exceptions
from google.cloud import iam_admin_v1 as admin
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.google_clients import client

NAME = f"projects/{PROJECT}"
ROLE = "roles/iam.serviceAccountTokenCreator"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
WIRES = pytest.mark.parametrize("wire", ["grpc", "rest"])


@pytest.fixture(scope="module")
def iam(place: Place) -> Iterator[Any]:
    with client(place, "iam") as made:
        yield made


@pytest.fixture
def account(iam: Any, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes an account with a name of the test's own; its resource name."""
    tag = f"{zlib.crc32(request.node.nodeid.encode()):08x}"

    def make(name: str) -> str:
        made = iam.create_service_account(name=NAME, account_id=f"{name}-{tag}")
        return f"projects/-/serviceAccounts/{made.email}"

    return make


@pins(
    "iam", "Accounts, roles, project, services", "Google's own clients: everyday calls", documented="client libraries"
)
def test_accounts_from_creation_to_undeletion(iam: Any, account: Callable[[str], str]) -> None:
    name = account("life")
    found = iam.get_service_account(name=name)
    assert found.email == name.rpartition("/")[2]
    assert found in list(iam.list_service_accounts(request={"name": NAME, "page_size": 1}))
    change = {
        "service_account": {"name": name, "display_name": "D", "description": "d"},
        "update_mask": {"paths": ["display_name"]},
    }
    changed = iam.patch_service_account(request=change)
    assert (changed.display_name, changed.description) == ("D", "")
    iam.disable_service_account(request={"name": name})
    assert iam.get_service_account(name=name).disabled
    iam.enable_service_account(request={"name": name})
    iam.delete_service_account(name=name)
    with pytest.raises(exceptions.NotFound, match="Unknown service account"):
        iam.get_service_account(name=name)
    by_id = f"projects/-/serviceAccounts/{found.unique_id}"
    restored = iam.undelete_service_account(request={"name": by_id}).restored_account
    assert restored.unique_id == found.unique_id
    with pytest.raises(exceptions.AlreadyExists):
        iam.create_service_account(name=NAME, account_id=found.email.partition("@")[0])
    with pytest.raises(exceptions.InvalidArgument):
        iam.create_service_account(name=NAME, account_id="x")


def test_policies_of_accounts_are_read_changed_and_tested(iam: Any, account: Callable[[str], str]) -> None:
    name, member = account("polled"), f"serviceAccount:{account('caller').rpartition('/')[2]}"
    policy = iam.get_iam_policy(request={"resource": name})
    assert policy.etag == b"\x00\x20\x01"
    policy.bindings.add(role=ROLE, members=[member])
    first = iam.set_iam_policy(request={"resource": name, "policy": policy})
    assert iam.get_iam_policy(request={"resource": name}) == first
    second = iam.set_iam_policy(request={"resource": name, "policy": first})
    with pytest.raises(exceptions.Aborted, match="concurrent policy changes"):
        iam.set_iam_policy(request={"resource": name, "policy": first})
    assert iam.get_iam_policy(request={"resource": name}) == second
    asked = ["iam.serviceAccounts.actAs", "iam.serviceAccounts.signJwt"]
    answer = iam.test_iam_permissions(request={"resource": name, "permissions": asked})
    assert list(answer.permissions) == asked
    with pytest.raises(exceptions.InvalidArgument, match="not valid for this resource"):
        iam.test_iam_permissions(request={"resource": name, "permissions": ["iam.serviceAccounts.dance"]})


def test_custom_roles_are_made_changed_deleted_and_undeleted(iam: Any) -> None:
    role = admin.Role(title="T", included_permissions=["cloudtasks.tasks.create"], stage=admin.Role.RoleLaunchStage.GA)
    made = iam.create_role(request={"parent": NAME, "role_id": "clientRole", "role": role})
    assert iam.get_role(request={"name": made.name}) == made
    change = {
        "name": made.name,
        "role": {"description": "x", "etag": made.etag},
        "update_mask": {"paths": ["description"]},
    }
    changed = iam.update_role(request=change)
    assert (changed.description, list(changed.included_permissions)) == ("x", ["cloudtasks.tasks.create"])
    with pytest.raises(exceptions.Aborted):
        iam.update_role(request=change)
    assert iam.delete_role(request={"name": made.name}).deleted
    assert made.name not in [r.name for r in iam.list_roles(request={"parent": NAME})]
    assert not iam.undelete_role(request={"name": made.name}).deleted
    listed = iam.list_roles(request={"page_size": 20, "view": admin.RoleView.FULL})
    assert {"roles/owner", ROLE} <= {r.name for r in listed}
    grantable = iam.query_grantable_roles(
        request={"full_resource_name": f"//cloudresourcemanager.googleapis.com/{NAME}"}
    )
    assert ROLE in {r.name for r in grantable}


def test_keys_are_made_uploaded_listed_and_deleted(iam: Any, account: Callable[[str], str]) -> None:
    name = account("keyed")
    made = iam.create_service_account_key(name=name)
    info = json.loads(made.private_key_data)
    assert (info["client_email"], info["private_key_id"]) == (name.rpartition("/")[2], made.name.rpartition("/")[2])
    shown = iam.get_service_account_key(request={"name": made.name, "public_key_type": "TYPE_X509_PEM_FILE"})
    load_pem_x509_certificate(shown.public_key_data)
    other = account("other")
    uploaded = iam.upload_service_account_key(request={"name": other, "public_key_data": shown.public_key_data})
    assert uploaded.key_origin == admin.ServiceAccountKeyOrigin.USER_PROVIDED
    with pytest.raises(exceptions.AlreadyExists):
        iam.upload_service_account_key(request={"name": other, "public_key_data": shown.public_key_data})
    with pytest.raises(exceptions.InvalidArgument):
        iam.upload_service_account_key(request={"name": other, "public_key_data": b"no certificate"})
    assert [k.name for k in iam.list_service_account_keys(name=name).keys] == [made.name]
    iam.disable_service_account_key(request={"name": made.name})
    assert iam.get_service_account_key(name=made.name).disabled
    iam.delete_service_account_key(name=made.name)
    with pytest.raises(exceptions.NotFound):
        iam.get_service_account_key(name=made.name)


@pins("iam", "Accounts, roles, project, services", "A deleted account's keys are not its successor's", ours=True)
def test_keys_go_and_come_back_with_their_account(iam: Any, account: Callable[[str], str]) -> None:
    name = account("heir")
    email, uid = name.rpartition("/")[2], iam.get_service_account(name=name).unique_id
    made = iam.create_service_account_key(name=name)
    iam.delete_service_account(name=name)
    iam.create_service_account(name=NAME, account_id=email.partition("@")[0])
    assert list(iam.list_service_account_keys(name=name).keys) == []
    iam.delete_service_account(name=name)
    iam.undelete_service_account(request={"name": f"projects/-/serviceAccounts/{uid}"})
    assert [key.name for key in iam.list_service_account_keys(name=name).keys] == [made.name]


def test_a_role_that_is_refused_leaves_the_deleted_one(place: Place, iam: Any) -> None:
    parts = {"parent": NAME, "role_id": "longGone"}
    made = iam.create_role(request={**parts, "role": {"title": "T"}})
    iam.delete_role(request={"name": made.name})
    place.do(lambda cloud: cloud.clock.advance(38 * 86400))
    with pytest.raises(exceptions.BadRequest):
        iam.create_role(request={**parts, "role": {"included_permissions": ["no permission"]}})
    assert iam.create_role(request={**parts, "role": {"title": "N"}}).title == "N"
    assert iam.get_role(request={"name": made.name}).title == "N"


@pins("iam", "Accounts, roles, project, services", "At most 10 keys an account", documented="IAM quotas")
def test_an_account_has_at_most_ten_keys(iam: Any, place: Place, account: Callable[[str], str]) -> None:
    from local_cloud.descriptors import message
    from local_cloud.iam import keys

    name = account("many-keys")

    async def fill(cloud: Any) -> None:  # ten RSA keys of 2,048 bits would cost a second
        full = cloud.iam.accounts.find(name).name
        for n in range(10):
            keys.kept(cloud)[f"{full}/keys/{n}"] = message(keys.KIND)(name=f"{full}/keys/{n}", key_type=1)

    place.do(fill)
    with pytest.raises(exceptions.FailedPrecondition):
        iam.create_service_account_key(name=name)
    assert len(iam.list_service_account_keys(name=name).keys) == 10


@pins("iam", "Policies and decisions", "LintPolicy says what a condition would be refused for", documented="iam.proto")
def test_a_condition_is_linted_before_it_is_set(iam: Any) -> None:
    for expression, errors in (("request.time.getHours() > 5", 0), ("request.time > 5", 1)):
        answer = iam.lint_policy(request={"condition": {"expression": expression}})
        assert len(answer.lint_results) == errors
    assert "cloudtasks.googleapis.com" in {s.name for s in iam.query_auditable_services(request={}).services}


@pins("iam", "Accounts, roles, project, services", "An account signs with a key of its own", documented="signBlob")
@WIRES
def test_tokens_and_signatures_of_an_account(place: Place, wire: str, account: Callable[[str], str]) -> None:
    name = account("signer")
    email = name.rpartition("/")[2]
    with client(place, "credentials", wire) as made:
        token = made.generate_access_token(name=name, scope=[SCOPE], lifetime={"seconds": 600})
        assert token.access_token.startswith("ya29.")
        with pytest.raises(exceptions.BadRequest, match="more than 1 hour"):
            made.generate_access_token(name=name, scope=[SCOPE], lifetime={"seconds": 3601})
        with pytest.raises(exceptions.BadRequest, match="scope"):
            made.generate_access_token(name=name, scope=[])
        claims = jwt.decode(
            made.generate_id_token(name=name, audience="aud", include_email=True).token,
            options={"verify_signature": False},
        )
        assert (claims["aud"], claims["email"]) == ("aud", email)
        with pytest.raises(exceptions.BadRequest, match="audience"):
            made.generate_id_token(name=name, audience="")
        blob = made.sign_blob(name=name, payload=b"bytes")
        signed = made.sign_jwt(name=name, payload=json.dumps({"iss": email, "x": 1}))
        for payload in ("no json", "[]", '{"exp": 1}', '{"exp": "soon"}'):
            with pytest.raises(exceptions.BadRequest):
                made.sign_jwt(name=name, payload=payload)
        with pytest.raises(exceptions.NotFound, match="Gaia id not found"):
            made.generate_id_token(name="projects/-/serviceAccounts/no@no.no", audience="a")
    import urllib.request

    with urllib.request.urlopen(f"{place.rest}/robot/v1/metadata/x509/{email}") as answer:
        certificates = json.load(answer)
    key: Any = load_pem_x509_certificate(certificates[blob.key_id].encode()).public_key()
    key.verify(blob.signed_blob, b"bytes", padding.PKCS1v15(), hashes.SHA256())
    assert jwt.decode(signed.signed_jwt, key, algorithms=["RS256"])["x"] == 1


@WIRES
def test_the_project_and_its_policy(place: Place, wire: str) -> None:
    with client(place, "projects", wire) as made:
        assert made.get_project(name=NAME).project_id == PROJECT
        assert [p.project_id for p in made.search_projects(query=f"id:{PROJECT[:3]}*")] == [PROJECT]
        assert list(made.search_projects(query="id:other")) == []
        policy = made.get_iam_policy(request={"resource": NAME, "options": {"requested_policy_version": 3}})
        policy.version = 3
        binding = policy.bindings.add(role="roles/viewer", members=["user:ann@example.com"])
        changed = made.set_iam_policy(request={"resource": NAME, "policy": policy})
        assert policy_pb2.Binding(role=binding.role, members=binding.members) in list(changed.bindings)
        with pytest.raises(exceptions.Conflict):
            made.set_iam_policy(request={"resource": NAME, "policy": {"etag": b"stale"}})
        tested = made.test_iam_permissions(resource=NAME, permissions=["resourcemanager.projects.get"])
        assert list(tested.permissions) == ["resourcemanager.projects.get"]
        with pytest.raises(exceptions.Forbidden):
            made.get_project(name="projects/somebody-elses")


@WIRES
def test_services_are_enabled_by_operations(place: Place, wire: str) -> None:
    name = f"{NAME}/services/compute.googleapis.com"
    with client(place, "services", wire) as made:
        assert made.enable_service(request={"name": name}).result(10).service.state.name == "ENABLED"
        enabled = made.list_services(request={"parent": NAME, "filter": "state:ENABLED", "page_size": 3})
        assert "compute.googleapis.com" in {s.config.name for s in enabled}
        assert made.disable_service(request={"name": name}).result(10).service.state.name == "DISABLED"
        assert made.get_service(request={"name": name}).state.name == "DISABLED"
        ids = ["run.googleapis.com", "cloudtasks.googleapis.com"]
        batch = made.batch_enable_services(request={"parent": NAME, "service_ids": ids}).result(10)
        assert [s.config.name for s in batch.services] == ids
        with pytest.raises(exceptions.BadRequest):
            made.batch_enable_services(request={"parent": NAME, "service_ids": []})
