"""Workload identity pools and their providers (IAM v1), whose tokens sts.py takes.

Both are deleted softly: for 30 days they read as DELETED, can be undeleted, and their ids are taken. AWS, SAML and
X.509 providers are kept and read back; tokens are exchanged for OIDC alone.
Source: https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.
"""

import datetime
import re
from collections.abc import Iterable
from typing import Any

from local_cloud.apis.iam import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import already_exists, failed_precondition, invalid
from local_cloud.iam.federation import Json, check_oidc, check_provider
from local_cloud.iam.pools import Pools
from local_cloud.plain import page
from local_cloud.registry import Call, HttpRequest
from local_cloud.server.json_codec import encode

ROOT = "/v1/projects/{project}/locations/global/workloadIdentityPools"
_ID = re.compile(r"[a-z0-9-]{4,32}")
#: Seconds for which a deleted one can be had back.
KEPT = 30 * 86400
_POOL = {
    "attestationRules": list,
    "description": str,
    "disabled": bool,
    "displayName": str,
    "inlineCertificateIssuanceConfig": dict,
    "inlineTrustConfig": dict,
    "mode": str,
}
_KINDS = ("aws", "oidc", "saml", "x509")
_PROVIDER = {
    "attributeCondition": str,
    "attributeMapping": dict,
    "description": str,
    "disabled": bool,
    "displayName": str,
} | dict.fromkeys(_KINDS, dict)
_MODES = ("FEDERATION_ONLY", "TRUST_DOMAIN")


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load them."""
    cloud.provide(Pools(cloud))


def _project(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


def _name(cloud: Cloud, request: HttpRequest) -> str:
    """The full name, with the project's number; of what it is below where the request names no pool."""
    cloud.canonical(_project(request))
    head = f"projects/{cloud.settings.project_number}/locations/global/workloadIdentityPools/"
    name = head + request.params.get("pool", "")
    return f"{name}/providers/{request.params['provider']}" if "provider" in request.params else name


def _shown(name: str, one: Json) -> Json:
    made = {"name": name, "state": "ACTIVE"} | {k: v for k, v in one.items() if k != "attestationRules"}
    if "gone" in made:
        when = datetime.datetime.fromtimestamp(made.pop("gone"), datetime.UTC)
        made |= {"state": "DELETED", "expireTime": when.isoformat(timespec="seconds").replace("+00:00", "Z")}
    return {key: value for key, value in made.items() if value not in (False, "", [], {})}


def _body(request: HttpRequest, shape: dict[str, type]) -> Json:
    given = request.json or {}
    if not isinstance(given, dict):
        raise invalid("Invalid JSON payload received: an object is expected.")
    made = {name: value for name, value in given.items() if name in shape and value is not None}
    for name, value in made.items():
        if not isinstance(value, shape[name]):
            raise invalid(f"Invalid value at '{name}': {value!r}")
    if len(made.get("displayName", "")) > 32:
        raise invalid("The display name cannot exceed 32 characters.")
    if len(made.get("description", "")) > 256:
        raise invalid("The description cannot exceed 256 characters.")
    return made


def _check(kind: str, made: Json) -> None:
    if kind == "pool":
        if made.get("mode", _MODES[0]) not in _MODES:
            raise invalid(f"Invalid mode: {made['mode']}")
        return
    if sum(name in made for name in _KINDS) != 1:
        raise invalid("A provider must have exactly one of aws, oidc, saml and x509.")
    if "oidc" in made:
        check_oidc(made["oidc"])
    if "aws" not in made or "attributeMapping" in made:  # AWS has a mapping of its own
        check_provider(made)


def _operation(cloud: Cloud, name: str, made: Json) -> Json:
    """A finished operation below the resource, as IAM's are, with the resource in its answer."""
    parent = cloud.canonical(name)
    operation: Json = encode(cloud.operations.done(parent, message("google.protobuf.Empty")()))
    kind = "WorkloadIdentityPoolProvider" if "/providers/" in name else "WorkloadIdentityPool"
    return operation | {"response": {"@type": f"type.googleapis.com/google.iam.admin.v1.{kind}"} | made}


def _id(request: HttpRequest, query: str) -> str:
    given = request.arg(query)
    if not _ID.fullmatch(given) or given.startswith("gcp-"):
        raise invalid(f"Invalid {query} '{given}': 4 to 32 of [a-z0-9-], and not beginning with gcp-.")
    return given


def _paged(request: HttpRequest, field: str, found: Iterable[Json]) -> Json:
    shown = [one for one in found if request.arg("showDeleted") == "true" or one["state"] != "DELETED"]
    size = request.arg("pageSize", "0")
    if not size.isdigit():
        raise invalid(f"Invalid value at 'page_size': {size}")
    taken, token = page(shown, int(size), request.arg("pageToken"), lambda one: str(one["name"]), default=50)
    return ({field: taken} if taken else {}) | ({"nextPageToken": token} if token else {})


@API.route("POST", ROOT, permission="iam.workloadIdentityPools.create", resource=_project)
async def create_pool(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """A new pool."""
    name = _name(cloud, request) + _id(request, "workloadIdentityPoolId")
    return _created(cloud, name, "pool", _body(request, _POOL))


@API.route(
    "POST",
    f"{ROOT}/{{pool}}/providers",
    permission="iam.workloadIdentityPoolProviders.create",
    resource=_project,
)
async def create_provider(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """A new provider of a pool."""
    pool = _name(cloud, request)
    cloud.use(Pools).find(pool)
    name = f"{pool}/providers/{_id(request, 'workloadIdentityPoolProviderId')}"
    return _created(cloud, name, "provider", _body(request, _PROVIDER))


def _created(cloud: Cloud, name: str, kind: str, made: Json) -> Json:
    pools = cloud.use(Pools)
    kept = pools.pools if kind == "pool" else pools.providers
    found = kept.get(name)
    if found is not None and found.get("gone", cloud.now() + 1) > cloud.now():
        raise already_exists("Requested entity already exists")
    _check(kind, made)
    kept[name] = made
    return _operation(cloud, name, _shown(name, made))


@API.route("GET", ROOT, permission="iam.workloadIdentityPools.list", resource=_project)
async def list_pools(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The pools; deleted ones when they are asked for."""
    found = _kept(cloud, cloud.use(Pools).pools.items(), _name(cloud, request))
    return _paged(request, "workloadIdentityPools", found)


@API.route("GET", f"{ROOT}/{{pool}}/providers", permission="iam.workloadIdentityPoolProviders.list", resource=_project)
async def list_providers(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The providers of a pool."""
    name = _name(cloud, request)
    cloud.use(Pools).find(name)
    found = _kept(cloud, cloud.use(Pools).providers.items(), f"{name}/")
    return _paged(request, "workloadIdentityPoolProviders", found)


def _kept(cloud: Cloud, found: Iterable[tuple[str, Json]], prefix: str) -> list[Json]:
    now = cloud.now()
    return [_shown(name, one) for name, one in found if name.startswith(prefix) and one.get("gone", now + 1) > now]


@API.route("GET", f"{ROOT}/{{pool}}", permission="iam.workloadIdentityPools.get", resource=_project)
@API.route(
    "GET",
    f"{ROOT}/{{pool}}/providers/{{provider}}",
    permission="iam.workloadIdentityPoolProviders.get",
    resource=_project,
)
async def get(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One of them."""
    name = _name(cloud, request)
    return _shown(name, cloud.use(Pools).find(name))


@API.route("PATCH", f"{ROOT}/{{pool}}", permission="iam.workloadIdentityPools.update", resource=_project)
@API.route(
    "PATCH",
    f"{ROOT}/{{pool}}/providers/{{provider}}",
    permission="iam.workloadIdentityPoolProviders.update",
    resource=_project,
)
async def patch(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Changes the fields of the mask."""
    pools, name = cloud.use(Pools), _name(cloud, request)
    provider = "/providers/" in name
    current, shape = pools.find(name), _PROVIDER if provider else _POOL
    if "gone" in current:
        raise failed_precondition(f"{name} is deleted.")
    body, mask = _body(request, shape), [path for path in request.arg("updateMask").split(",") if path]
    fields = {re.sub(r"_(\w)", lambda found: found[1].upper(), path.partition(".")[0]) for path in mask} or set(body)
    if unknown := fields - set(shape):
        raise invalid(f"Invalid update mask: {', '.join(sorted(unknown))}")
    made = {key: value for key, value in current.items() if key not in fields}
    made |= {key: value for key, value in body.items() if key in fields}
    _check("provider" if provider else "pool", made)
    (pools.providers if provider else pools.pools)[name] = made
    return _operation(cloud, name, _shown(name, made))


@API.route("DELETE", f"{ROOT}/{{pool}}", permission="iam.workloadIdentityPools.delete", resource=_project)
@API.route(
    "DELETE",
    f"{ROOT}/{{pool}}/providers/{{provider}}",
    permission="iam.workloadIdentityPoolProviders.delete",
    resource=_project,
)
async def delete(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Deletes softly; no token is exchanged from now on."""
    return _marked(cloud, _name(cloud, request), gone=True)


@API.route("POST", f"{ROOT}/{{pool}}:undelete", permission="iam.workloadIdentityPools.undelete", resource=_project)
@API.route(
    "POST",
    f"{ROOT}/{{pool}}/providers/{{provider}}:undelete",
    permission="iam.workloadIdentityPoolProviders.undelete",
    resource=_project,
)
async def undelete(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Has a deleted one back."""
    return _marked(cloud, _name(cloud, request), gone=False)


def _marked(cloud: Cloud, name: str, *, gone: bool) -> Json:
    pools = cloud.use(Pools)
    found = pools.find(name)
    if ("gone" in found) is gone:
        raise failed_precondition(f"{name} is {'already' if gone else 'not'} deleted.")
    if gone:
        found["gone"] = cloud.now() + KEPT
    else:
        del found["gone"]
    (pools.providers if "/providers/" in name else pools.pools).save(name)
    return _operation(cloud, name, _shown(name, found))


@API.route(
    "GET", f"{ROOT}/{{pool}}:listAttestationRules", permission="iam.workloadIdentityPools.get", resource=_project
)
async def list_rules(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The attestation rules of a pool, kept and read back."""
    rules = cloud.use(Pools).find(_name(cloud, request)).get("attestationRules")
    return {"attestationRules": rules} if rules else {}


@API.route(
    "POST", f"{ROOT}/{{pool}}:setAttestationRules", permission="iam.workloadIdentityPools.update", resource=_project
)
async def set_rules(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Replaces them."""
    pools, name = cloud.use(Pools), _name(cloud, request)
    found = pools.find(name)
    found["attestationRules"] = _body(request, _POOL).get("attestationRules", [])
    pools.pools.save(name)
    return _operation(cloud, name, _shown(name, found))


@API.route("GET", f"{ROOT}/{{pool}}/operations/{{operation}}", resource=_project)
@API.route("GET", f"{ROOT}/{{pool}}/providers/{{provider}}/operations/{{operation}}", resource=_project)
async def get_operation(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """An operation on one of them, for whoever may read it."""
    kind = "workloadIdentityPoolProviders" if "provider" in request.params else "workloadIdentityPools"
    cloud.iam.require(call.principal, f"iam.{kind}.get", f"projects/{cloud.project}")
    name = f"{_name(cloud, request)}/operations/{request.params['operation']}"
    return encode(cloud.operations.get(cloud.canonical(name)))
