"""Whatever is sent to the paths of Storage and of the registry: an answer or a refusal, never an error of our own."""

import json
import random
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.registry import Door
from local_cloud.server.rest import RestDoor, build_router
from tests.fidelity import pins
from tests.local_cloud import junk
from tests.local_cloud.conftest import Rest

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NAMES = (
    "there",
    "o1",
    "a/b",
    "%2F",
    "..",
    "é",
    "%FF%FE",
    "",
    "x" * 1100,
    "b",
    "iam",
    "projects",
    "sha256:zz",
    "latest",
)
PATHS = (
    "/storage/v1/b",
    "/storage/v1/b/{}",
    "/storage/v1/b/{}/iam",
    "/storage/v1/b/{}/iam/testPermissions",
    "/storage/v1/b/{}/o",
    "/storage/v1/b/{}/o/{}",
    "/storage/v1/b/{}/o/{}/compose",
    "/storage/v1/b/{}/notificationConfigs",
    "/storage/v1/b/{}/notificationConfigs/{}",
    "/storage/v1/b/{}/o/{}/rewriteTo/b/{}/o/{}",
    "/storage/v1/b/{}/lockRetentionPolicy",
    "/upload/storage/v1/b/{}/o",
    "/download/storage/v1/b/{}/o/{}",
    "/storage/v1/projects/{}/serviceAccount",
    "/batch/storage/v1",
    "/v2/",
    "/v2/token",
    "/v2/sluice-local/repo/{}/tags/list",
    "/v2/sluice-local/repo/{}/manifests/{}",
    "/v2/sluice-local/repo/{}/blobs/{}",
    "/v2/sluice-local/repo/{}/blobs/uploads/",
    "/v2/sluice-local/repo/{}/blobs/uploads/{}",
    "/v2/{}/{}/x/referrers/{}",
)
QUERY = {
    "project": ("sluice-local", "other"),
    "uploadType": ("media", "multipart", "resumable", "x"),
    "alt": ("media", "json"),
    "name": NAMES,
    "ifGenerationMatch": ("0", "1", "-1", "x"),
    "generation": ("1", "", "9" * 30),
    "fields": ("items(", "a,b"),
    "maxResults": ("0", "1", "-1", "x"),
    "pageToken": ("x", "YQ==", "é"),
    "matchGlob": ("[", "{a,b", "**"),
    "upload_id": ("x",),
    "delimiter": ("/",),
    "digest": ("sha256:" + "0" * 64, "md5:1"),
    "mount": ("x",),
    "from": ("a/b/c", "x"),
    "n": ("x", "0"),
    "permissions": ("x", "storage.objects.get"),
    "optionsRequestedPolicyVersion": ("3", "x"),
    "projection": ("full",),
}
HEADERS = {
    "range": ("bytes=0-1", "bytes=9-", "bytes=-0", "x"),
    "content-range": ("bytes 0-1/2", "bytes */*", "0-1", "x"),
    "content-type": ("application/json", "multipart/related; boundary=b", "multipart/mixed; boundary=b", "x"),
    "authorization": ("Basic x", "Basic eDp5", "Bearer x"),
    "content-encoding": ("gzip", "x"),
    "x-goog-hash": ("md5=x,y",),
}
BODIES: tuple[Any, ...] = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b"--b\r\n\r\n{}\r\n--b\r\n\r\nx\r\n--b--",
    b"--b\n\nGET /storage/v1/b HTTP/1.1\n\n\n--b--",
    {"name": "new-bucket"},
    {"name": 1},
    {"labels": []},
    {"lifecycle": {"rule": [1]}},
    {"lifecycle": 3},
    {"location": 5},
    {"bindings": [{"role": "x"}]},
    {"sourceObjects": [{"name": "o1"}]},
    {"sourceObjects": [1]},
    {"topic": "x"},
    {"metadata": {"a": 1}},
    {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}},
    {"iamConfiguration": 1},
    {"retentionPolicy": 7},
    {"retentionPolicy": {"retentionPeriod": "x"}},
    {"softDeletePolicy": "x"},
    {"customTime": "x"},
    {"storageClass": 4},
    {"schemaVersion": 2, "config": {}, "layers": 1},
    {"versioning": 1},
    {"website": None},
    {"destination": 5, "sourceObjects": [{"name": "o1"}]},
)


@pins("storage", "Objects", "Rubbish at any path of Storage or of the registry is refused, never a 500", ours=True)
async def test_rubbish_is_refused(cloud: Cloud, rest: Rest) -> None:
    rng, door = random.Random("storage"), RestDoor(cloud, Door.OWNER, build_router(cloud))
    await rest.ok("POST", "/storage/v1/b?project=sluice-local", {"name": "there"})
    await rest.ok("POST", "/upload/storage/v1/b/there/o?uploadType=media&name=o1", {"a": 1})
    home = "/v1/projects/sluice-local/locations/us-central1/repositories"
    await rest.ok("POST", f"{home}?repositoryId=repo", {"format": "DOCKER"})
    for _ in range(1500):
        path = rng.choice(PATHS)
        while "{}" in path:
            path = path.replace("{}", rng.choice(NAMES), 1)
        query = "&".join(f"{key}={rng.choice(QUERY[key])}" for key in rng.sample(sorted(QUERY), rng.randint(0, 4)))
        body = rng.choice(BODIES) if rng.random() < 0.8 else {"name": rng.choice(junk.TEXTS)}
        sent = {key: rng.choice(HEADERS[key]) for key in rng.sample(sorted(HEADERS), rng.randint(0, 2))}
        headers = {"host": "127.0.0.1", **sent}
        status = await ask(door, rng.choice(VERBS), path, query=query, body=body, headers=headers)
        assert status < 500 or status in (501, 503), (path, query, body, sent, cloud.log.events[-1])
    told = ("/storage/v1/b", "/storage/v1/b/there", "/storage/v1/b/there/iam", "/storage/v1/b/there/o/o1")
    more = ("/storage/v1/b/there/o/o1/compose", "/storage/v1/b/there/notificationConfigs", "/storage/v1/b/there/o")
    for path in (*told, *more):
        for body in BODIES:
            for verb in ("POST", "PUT", "PATCH"):
                query = "project=sluice-local&name=o1"
                status = await ask(door, verb, path, query=query, body=body, headers={"host": "127.0.0.1"})
                assert status < 500, (verb, path, body, cloud.log.events[-1])
    assert [one for one in cloud.log.events if one["severity"] == "ERROR"] == []


async def ask(door: RestDoor, verb: str, path: str, *, query: str, body: Any, headers: dict[str, str]) -> int:
    status, data = 0, body if isinstance(body, bytes) else json.dumps(body).encode()
    encoded = path.encode("utf-8")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(event: Any) -> None:
        nonlocal status
        status = event.get("status", status)

    scope = {
        "type": "http",
        "method": verb,
        "path": path,
        "raw_path": encoded,
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await door(scope, receive, send)
    return status
