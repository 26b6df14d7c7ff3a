"""What instances find at their mount paths: secrets by version, folders in memory, nothing on the machine itself."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from local_cloud.engines.instances import StartError
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, Runner, done, http

linux = pytest.mark.skipif(not Path("/proc/self/ns/mnt").exists(), reason="volumes need Linux's mount namespaces")


def deploy(run: Runner, service_id: str, volumes: list[dict[str, Any]], mounts: dict[str, str], **more: Any) -> Any:
    container = {"image": IMAGE, "volume_mounts": [{"name": n, "mount_path": p} for p, n in mounts.items()]}
    template = {"containers": [container], "volumes": volumes, "service_account": run.account("tiny-runner"), **more}
    service = run_v2.Service(template=template)
    made = done(run.services.create_service(parent=PARENT, service=service, service_id=service_id))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    return made


def secret(run: Runner, secret_id: str, *payloads: bytes) -> str:
    for payload in payloads:
        name = run.add_secret(secret_id, payload)
    run.bind(name, "roles/secretmanager.secretAccessor", f"serviceAccount:{run.account('tiny-runner')}")
    return name


@linux
@pins(
    "run",
    "Instances",
    "A secret volume holds the versions of its items, at their paths and modes, read-only; "
    "without items the latest, named as the secret",
    documented="SecretVolumeSource",
)
@pins(
    "run",
    "Instances",
    "Mounts are seen by the instance alone; a mount path that the machine does not have is not made on it",
    ours="instances share the machine's files",
)
def test_a_secret_is_mounted_by_version_for_its_instance_alone(run: Runner, tmp_path: Path) -> None:
    secret(run, "MOUNTED", b"one", b"two")
    items = [{"path": "old/first", "version": "1"}, {"path": "new", "version": "latest", "mode": 0o400}]
    volumes = [
        {"name": "chosen", "secret": {"secret": "MOUNTED", "items": items, "default_mode": 0o440}},
        {"name": "whole", "secret": {"secret": "MOUNTED"}},
    ]
    mounts = {"/of-no-machine/chosen": "chosen", str(tmp_path / "there" / "not"): "whole"}
    made = deploy(run, "mounted", volumes, mounts)
    here = http(f"{made.uri}/file/of-no-machine/chosen/old/first").json
    assert (here["text"], here["mode"]) == ("one", "0o440")
    here = http(f"{made.uri}/file/of-no-machine/chosen/new").json
    assert (here["text"], here["mode"]) == ("two", "0o400")
    here = http(f"{made.uri}/file{tmp_path}/there/not/MOUNTED").json
    assert (here["text"], here["mode"]) == ("two", "0o444")
    refused = http(f"{made.uri}/write/of-no-machine/chosen/more", method="POST", body=b"x").json["refused"]
    assert refused == "Read-only file system"
    assert not Path("/of-no-machine").exists()
    assert list(tmp_path.iterdir()) == []
    assert http(f"{made.uri}/file{Path(__file__)}").json["text"] == Path(__file__).read_text(), "all else is there"


@linux
@pins(
    "run",
    "Instances",
    "`latest` in a volume is read at each start, as the revision's account may read it",
    documented="Configure secrets",
    ours="Google reads it at each access of the file",
)
def test_latest_is_what_it_is_at_the_start_of_the_instance(run: Runner) -> None:
    name = secret(run, "MOVING", b"one")
    volumes = [{"name": "key", "secret": {"secret": "MOVING"}}]
    made = deploy(run, "moving", volumes, {"/keys": "key"})
    assert http(f"{made.uri}/file/keys/MOVING").json["text"] == "one"
    run.add_secret("MOVING", b"two")
    assert http(f"{made.uri}/file/keys/MOVING").json["text"] == "one"
    os.kill(run.pids("moving")[0], signal.SIGKILL)
    asyncio.run(until(lambda: not run.pids("moving")))
    assert http(f"{made.uri}/file/keys/MOVING").json["text"] == "two"
    run.bind(name, "roles/secretmanager.secretAccessor")
    with pytest.raises(exceptions.PermissionDenied, match="secretAccessor"):
        deploy(run, "moving-2", volumes, {"/keys": "key"})


@linux
@pins(
    "run",
    "Instances",
    "An emptyDir is memory of the instance's own, with its size limit, gone with it",
    documented="In-memory volumes",
)
def test_a_folder_in_memory_is_the_instances_own(run: Runner) -> None:
    volumes = [{"name": "scratch", "empty_dir": {"medium": "MEMORY", "size_limit": "64Ki"}}]
    made = deploy(run, "scratching", volumes, {"/scratch": "scratch", "/again": "scratch"})
    assert "refused" not in http(f"{made.uri}/write/scratch/note", method="POST", body=b"kept").json
    assert http(f"{made.uri}/file/again/note").json["text"] == "kept"
    full = http(f"{made.uri}/write/scratch/big", method="POST", body=bytes(100_000)).json
    assert full["refused"] == "No space left on device"
    os.kill(run.pids("scratching")[0], signal.SIGKILL)
    asyncio.run(until(lambda: not run.pids("scratching")))
    assert http(f"{made.uri}/file/scratch").json["files"] == []
    assert not Path("/scratch").exists()


@pins(
    "run",
    "Instances",
    "NFS and Cloud Storage volumes are kept and not mounted, which the instance's log says; Cloud SQL's need no mount",
    ours="no file server to mount",
)
def test_a_volume_that_is_not_mounted_is_said_in_the_log(run: Runner) -> None:
    volumes: list[dict[str, Any]] = [
        {"name": "share", "nfs": {"server": "10.0.0.2", "path": "/x"}},
        {"name": "sql", "cloud_sql_instance": {"instances": ["p:r:i"]}},
    ]
    made = deploy(run, "unmounted", volumes, {"/share": "share", "/cloudsql": "sql"})
    assert [v.name for v in made.template.volumes] == ["share", "sql"]

    def said() -> list[str]:
        asked = {
            "resourceNames": [f"projects/{PROJECT}"],
            "filter": "resource.labels.service_name=unmounted AND logName:system",
        }
        wanted = json.dumps(asked).encode()
        entries = http(f"{run.place.rest}/v2/entries:list", method="POST", body=wanted).json.get("entries", [])
        return [entry["textPayload"] for entry in entries]

    asyncio.run(until(lambda: bool(said())))
    [line] = said()
    assert "Volume 'share' (nfs) is kept and not mounted" in line


@pytest.mark.parametrize(
    ("volumes", "mounts", "said"),
    [
        ([{"name": "a", "empty_dir": {}}], {"/x": "b"}, "has no volume 'b'"),
        ([{"name": "a", "empty_dir": {}}], {"x": "a"}, "must be absolute"),
        ([{"name": "a", "empty_dir": {}}], {"/proc": "a"}, "no system folder"),
        ([{"name": "a", "empty_dir": {}}, {"name": "a", "empty_dir": {}}], {}, "name of its own"),
        ([{"name": "a"}], {}, "has no source"),
        ([{"name": "a", "secret": {"secret": ""}}], {}, "a secret is required"),
        ([{"name": "a", "secret": {"secret": "s", "items": [{"path": "../x"}]}}], {}, "within the volume"),
        ([{"name": "a", "empty_dir": {"size_limit": "much"}}], {}, "no amount of memory"),
    ],
)
@pins(
    "run",
    "Services and revisions",
    "Volumes and mounts that contradict one another are refused with their field",
    documented="Volume, VolumeMount",
)
def test_wrong_volumes_are_refused_with_their_field(
    run: Runner, volumes: list[dict[str, Any]], mounts: dict[str, str], said: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=r"Violation in .*volume") as refused:
        deploy(run, "wrong", volumes, mounts)
    assert said in refused.value.message


@linux
@pins(
    "run",
    "Instances",
    "A machine that gives no mount namespace, or a folder that is not there, fails the revision, which says why",
    ours="never without its secrets",
)
async def test_an_instance_that_cannot_have_its_volumes_does_not_start(tmp_path: Path) -> None:
    from tests.local_cloud.test_revisions import Bench

    async def volumes() -> list[dict[str, Any]]:
        return [{"files": [], "size": 0, "read_only": True, "mounts": [["/x", ""]]}]

    bench = Bench(tmp_path)
    try:
        revision = bench.revision(volumes=volumes, staging=str(tmp_path / "nowhere"))
        with pytest.raises(StartError, match=r"could not be prepared: .*No such file or directory"):
            await revision.check()
        revision = bench.revision(workdir="not-there")
        with pytest.raises(StartError, match=r"could not be prepared: .*not-there"):
            await revision.check()
    finally:
        await bench.close()
