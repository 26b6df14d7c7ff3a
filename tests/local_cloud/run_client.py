"""Google's own clients of Cloud Run and Secret Manager at a local cloud, and what tests of services share."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.cloud import run_v2, secretmanager_v1
from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from tests.local_cloud.cloud_places import PARENT, PROJECT, Place
from tests.local_cloud.image import tiny_image

NUMBER = "123456789012"
DIGEST = "sha256:" + "a" * 64
IMAGE = f"us-central1-docker.pkg.dev/{PROJECT}/sluice/services@{DIGEST}"


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def http(
    url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request without retries or redirects; an error status is an answer."""
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, response.read(), dict(response.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(), dict(error.headers))


def to(revision: str, percent: int = 0, tag: str = "") -> run_v2.TrafficTarget:
    """A share of the traffic, or a tag, for a revision."""
    by_revision = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    return run_v2.TrafficTarget(type_=by_revision, revision=revision, percent=percent, tag=tag)


def done(operation: Any) -> Any:
    """Wait for a long-running operation."""
    return operation.result(30)


class Runner:
    """The clients of one place, with the tiny image registered."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        self.services = run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=self.channel))
        self.revisions = run_v2.RevisionsClient(transport=RevisionsGrpcTransport(channel=self.channel))
        self.secrets = secretmanager_v1.SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=self.channel)
        )
        folder.mkdir(exist_ok=True)
        image = tiny_image(folder, DIGEST)
        self.register(DIGEST, image.root, image.entry, image.preload)

    def register(self, digest: str, root: str, entry: str, modules: tuple[str, ...] = ()) -> None:
        body = json.dumps({"digest": digest, "root": root, "entry": entry, "preload": modules}).encode()
        answer = http(f"{self.place.rest}/_sluice/images", method="POST", body=body)
        assert answer.status == 200, answer.body

    def account(self, account_id: str) -> str:
        """A service account; made if it is not there."""
        body = json.dumps({"accountId": account_id}).encode()
        made = http(f"{self.place.rest}/v1/projects/{PROJECT}/serviceAccounts", method="POST", body=body)
        assert made.status in (200, 409), made.body
        return f"{account_id}@{PROJECT}.iam.gserviceaccount.com"

    def id_token(self, email: str, audience: str) -> str:
        url = f"{self.place.rest}/v1/projects/-/serviceAccounts/{email}:generateIdToken"
        body = json.dumps({"audience": audience, "includeEmail": True}).encode()
        return str(http(url, method="POST", body=body).json["token"])

    def access_token(self, email: str) -> str:
        url = f"{self.place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        body = json.dumps({"scope": ["https://www.googleapis.com/auth/cloud-platform"]}).encode()
        return str(http(url, method="POST", body=body).json["accessToken"])

    def service(self, service_id: str, **template: Any) -> run_v2.Service:
        """A service of the tiny image, not deployed."""
        container = {"image": IMAGE, "args": [service_id], "env": template.pop("env", [])}
        if "probe" in template:
            container["startup_probe"] = template.pop("probe")
        if "image" in template:
            container["image"] = template.pop("image")
        made = run_v2.Service(template={"containers": [container], **template})
        made.template.service_account = made.template.service_account or self.account("tiny-runner")
        return made

    def create(self, service_id: str, *, public: bool = True, **template: Any) -> Any:
        """Deploy a new service and wait for it; open to all unless asked otherwise."""
        service = self.service(service_id, **template)
        made = done(self.services.create_service(parent=PARENT, service=service, service_id=service_id))
        if public:
            self.bind(made.name, "roles/run.invoker", "allUsers")
        return made

    def update(self, service: run_v2.Service, **arguments: Any) -> Any:
        return done(self.services.update_service(request={"service": service, **arguments}))

    def bind(self, name: str, role: str, *members: str) -> None:
        policy = policy_pb2.Policy(bindings=[policy_pb2.Binding(role=role, members=members)])
        request = iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy)
        (self.secrets if "/secrets/" in name else self.services).set_iam_policy(request=request)

    def bind_job(self, name: str, role: str, *members: str) -> None:
        body = json.dumps({"policy": {"bindings": [{"role": role, "members": members}]}}).encode()
        answer = http(f"{self.place.rest}/v2/{name}:setIamPolicy", method="POST", body=body)
        assert answer.status == 200, answer.body

    def add_secret(self, secret_id: str, data: bytes) -> str:
        """A secret with one more version; its name."""
        parent = f"projects/{PROJECT}"
        if secret_id not in {s.name.rpartition("/")[2] for s in self.secrets.list_secrets(parent=parent)}:
            secret: dict[str, Any] = {"replication": {"automatic": {}}}
            request = {"parent": parent, "secret_id": secret_id, "secret": secret}
            self.secrets.create_secret(request=request)
        self.secrets.add_secret_version(request={"parent": f"{parent}/secrets/{secret_id}", "payload": {"data": data}})
        return f"{parent}/secrets/{secret_id}"

    def status(self) -> Any:
        return http(f"{self.place.rest}/_sluice/status").json["services"]

    def pids(self, service_id: str) -> list[int]:
        return [i["pid"] for i in self.status()[service_id]["instances"] if i["state"] == "ready"]


@contextmanager
def runner(place: Place, folder: Path) -> Iterator[Runner]:
    """Clients that are closed again."""
    made = Runner(place, folder)
    try:
        yield made
    finally:
        made.channel.close()
