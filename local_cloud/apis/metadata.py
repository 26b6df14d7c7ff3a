"""The metadata server, so that google.auth works unmodified in services.

A revision's instance gets a host of its own (`HOST:PORT/md/KEY`, from `register`), which names its account: on Google
the address is the same everywhere and the network says who asks. At the owner's door the same values stand at the root,
for clients on this machine: their credentials are the owner's. Source:
https://cloud.google.com/run/docs/container-contract#metadata-server and google-auth's compute_engine/_metadata.py.
"""

import hashlib
from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.registry import Api, Call, HttpRequest, HttpResponse

API = Api("metadata")

HEADERS = {"Metadata-Flavor": "Google", "Server": "Metadata Server for Serverless"}
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")


class Metadata:
    """Which key is whose."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._accounts: dict[str, str] = {}

    def register(self, account: str) -> str:
        """The host for GCE_METADATA_HOST (and GCE_METADATA_IP, which google.auth pings) of an account's instances."""
        key = self._cloud.identity.key_for(f"metadata {account}")
        self._accounts[key] = account
        return f"{self._cloud.settings.host}:{self._cloud.ports['service_rest']}/md/{key}"

    def environment(self, account: str) -> dict[str, str]:
        """What an instance of the account needs in its environment."""
        host = self.register(account)
        return {"GCE_METADATA_HOST": host, "GCE_METADATA_ROOT": host, "GCE_METADATA_IP": host}

    def account(self, key: str) -> str:
        """Whose key it is."""
        if key not in self._accounts:
            raise ApiError("NOT_FOUND", "No instance has this metadata key.")
        return self._accounts[key]


@API.on_start
async def start(cloud: Cloud) -> None:
    """Publishes the register."""
    cloud.metadata = Metadata(cloud)


@API.route("GET", "/md/{key}", public=True, wants_json=False)
@API.route("GET", "/md/{key}/{path=**}", public=True, wants_json=False)
async def get(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """One value, a directory, or a subtree as JSON."""
    account = cloud.metadata.account(request.params["key"])
    path = request.params.get("path", "").removeprefix("computeMetadata/v1").strip("/")
    if not path:
        return _text("instance/\nproject/\nuniverse/\n" if "/computeMetadata" in request.path else "computeMetadata/\n")
    if request.headers.get("metadata-flavor") != "Google":
        return HttpResponse(403, b"Missing Metadata-Flavor:Google header.", HEADERS, "text/plain")
    parts = path.split("/")
    if parts[:2] == ["instance", "service-accounts"] and len(parts) == 4 and parts[3] in ("token", "identity"):
        return _credential(cloud, request, account, parts[2], parts[3])
    return _value(cloud, account, parts, request)


@API.route("GET", "/", public=True, owner_only=True, wants_json=False)
@API.route("GET", "/computeMetadata/{path=**}", public=True, owner_only=True, wants_json=False)
async def get_as_owner(cloud: Cloud, _call: Call, request: HttpRequest) -> HttpResponse:
    """The owner's values, for GCE_METADATA_HOST=HOST:PORT; libraries look at the root to see what answers."""
    path = request.params.get("path", "").removeprefix("v1").strip("/")
    if not path:
        return _text("computeMetadata/\n" if request.path == "/" else "instance/\nproject/\nuniverse/\n")
    if request.headers.get("metadata-flavor") != "Google":
        return HttpResponse(403, b"Missing Metadata-Flavor:Google header.", HEADERS, "text/plain")
    email = cloud.owner.email
    parts = path.split("/")
    if parts[:2] == ["instance", "service-accounts"] and len(parts) == 4 and parts[2] in ("default", email):
        if parts[3] == "identity":
            audience = request.arg("audience")
            if not audience:
                return HttpResponse(400, b"non-empty audience parameter required", HEADERS, "text/plain")
            return _text(cloud.identity.id_token(email, email, audience))
        if parts[3] == "token":
            return _granted(cloud, cloud.owner.member, request)
    return _value(cloud, email, parts, request)


def _value(cloud: Cloud, account: str, parts: list[str], request: HttpRequest) -> HttpResponse:
    value: Any = _tree(cloud, account)
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return HttpResponse(404, b"Not Found", HEADERS, "text/plain")
    return _shown(value, request)


def _shown(value: Any, request: HttpRequest) -> HttpResponse:
    if request.arg("recursive").lower() == "true" and request.arg("alt") != "text":
        return HttpResponse(200, orjson.dumps(_json(value)), HEADERS, "application/json")
    if isinstance(value, dict):
        return _text("".join(f"{name}/\n" if isinstance(below, dict) else f"{name}\n" for name, below in value.items()))
    return _text("\n".join(value) if isinstance(value, list | tuple) else value)


def _credential(cloud: Cloud, request: HttpRequest, account: str, asked: str, kind: str) -> HttpResponse:
    found = cloud.iam.accounts.find(account)
    if asked not in ("default", account) or found is None or found.disabled:
        text = f"The service account {asked if asked != 'default' else account} was not found."
        return HttpResponse(404, text.encode(), HEADERS, "text/plain")
    if kind == "identity":
        audience = request.arg("audience")
        if not audience:
            return HttpResponse(400, b"non-empty audience parameter required", HEADERS, "text/plain")
        return _text(cloud.iam.accounts.id_token(account, audience))
    return _granted(cloud, f"serviceAccount:{account}", request)


def _granted(cloud: Cloud, member: str, request: HttpRequest) -> HttpResponse:
    """A new access token."""
    scopes = tuple(filter(None, request.arg("scopes").split(","))) or SCOPES
    grant = cloud.identity.access_token(member, scopes=scopes)
    left = int(grant.expires - cloud.now())
    body = {"access_token": grant.token, "expires_in": left, "token_type": "Bearer"}
    return HttpResponse(200, orjson.dumps(body), HEADERS, "application/json")


def _tree(cloud: Cloud, account: str) -> dict[str, Any]:
    settings = cloud.settings
    entry = {"aliases": ["default"], "email": account, "scopes": list(SCOPES), "identity": "", "token": ""}
    return {
        "instance": {
            "id": hashlib.sha256(account.encode()).hexdigest(),
            "region": f"projects/{settings.project_number}/regions/{settings.location}",
            "zone": f"projects/{settings.project_number}/zones/{settings.metadata_zone}",
            "service-accounts": {"default": entry, account: entry},
        },
        "project": {"project-id": settings.project, "numeric-project-id": settings.project_number},
        "universe": {"universe-domain": "googleapis.com"},
    }


def _json(value: Any) -> Any:
    """A subtree as JSON: camelCase names, without what must be asked for by itself."""
    if not isinstance(value, dict):
        return value
    shown = {}
    for name, below in value.items():
        if name not in ("identity", "token"):
            head, *rest = name.split("-") if "@" not in name else [name]
            shown[head + "".join(part.capitalize() for part in rest)] = _json(below)
    return shown


def _text(text: str) -> HttpResponse:
    return HttpResponse(200, text.encode(), HEADERS, "application/text")
