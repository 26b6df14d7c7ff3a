"""An image that was pushed runs by its digest, in a container of its own: one cloud, a static server as the image."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place
from tests.local_cloud.images.pusher import OCI_INDEX, OCI_MANIFEST, Entry, Repository, layer, make_repository
from tests.local_cloud.run_client import Runner, done, http

HOST = f"us-central1-docker.pkg.dev/{PROJECT}/apps"


def can_contain() -> bool:
    """Whether this machine gives a process namespaces of its own."""
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    again = ["unshare", "--user", "--mount", "--pid", "--fork", "true"]
    return tried.returncode == 0 or subprocess.run(again, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is needed to build the image's server"),
    pytest.mark.skipif(not can_contain(), reason="this machine gives no namespaces"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The program in the image: needs nothing but a kernel."""
    made = tmp_path_factory.mktemp("server") / "server"
    source = Path(__file__).with_name("server.c")
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", str(made), str(source)], check=True)
    return made.read_bytes()


@pytest.fixture(scope="module")
def repository(place: Place) -> Repository:
    make_repository(place.rest, "apps")
    return Repository(place.rest, f"{PROJECT}/apps/tiny")


@pytest.fixture(scope="module")
def digest(repository: Repository, server: bytes) -> str:
    """An image of three layers: what an upper one takes away is not there."""
    base = layer(
        Entry("bin/"),
        Entry("bin/server", server),
        Entry("etc/"),
        Entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:1234:1235::/srv/app:/bin/sh\n", 0o644),
        Entry("opt/"),
        Entry("opt/gone", b"x"),
        Entry("opt/old/a", b"x"),
        Entry("opt/kept", b"one\n", 0o644),
        Entry("srv/app/", uid=1234),
    )
    middle = layer(Entry("opt/.wh.gone"), Entry("opt/old/.wh..wh..opq"), Entry("opt/old/b", b"new\n", 0o644))
    top = layer(Entry("opt/kept", b"two\n", 0o644), Entry("sbin", link="bin"))
    config = {"Entrypoint": ["/sbin/server"], "Cmd": ["from-cmd"], "Env": ["PATH=/bin", "GREETING=hi"], "User": "app"}
    return repository.push("v1", [base, middle, top], {**config, "WorkingDir": "/srv/app"})


@pytest.fixture(scope="module")
def url(run: Runner, digest: str) -> Iterator[str]:
    """A service of the image, by digest."""
    run.add_secret("pin", b"1234")
    secret = run_v2.Volume(name="pin", secret=run_v2.SecretVolumeSource(secret="pin"))
    empty = run_v2.Volume(name="room", empty_dir=run_v2.EmptyDirVolumeSource(size_limit="1Mi"))
    service = run.service("contained", image=f"{HOST}/tiny@{digest}", volumes=[secret, empty])
    container = service.template.containers[0]
    container.args = []
    container.env = [run_v2.EnvVar(name="COLOUR", value="blue")]
    for name, path in (("pin", "/secrets/pin"), ("room", "/var/room")):
        container.volume_mounts.append(run_v2.VolumeMount(name=name, mount_path=path))
    run.bind("projects/sluice-local/secrets/pin", "roles/secretmanager.secretAccessor",
             f"serviceAccount:{service.template.service_account}")  # fmt: skip
    made = done(run.services.create_service(parent=PARENT, service=service, service_id="contained"))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    yield made.uri
    done(run.services.delete_service(name=made.name))


def says(url: str, path: str) -> list[str]:
    answer = http(f"{url}{path}")
    assert answer.status == 200, answer.body
    return answer.body.decode().splitlines()


@pins(
    "artifact_registry",
    "Running an image",
    "A pushed image runs from its layers by digest: Entrypoint, Cmd, Env, WorkingDir and User as its config says",
    documented="Cloud Run: container contract; OCI image-spec config.md",
)
def test_a_pushed_image_runs_as_its_configuration_says(url: str) -> None:
    assert says(url, "/args") == ["/sbin/server", "from-cmd"]
    env = dict(line.split("=", 1) for line in says(url, "/env"))
    assert env["GREETING"] == "hi"
    assert env["COLOUR"] == "blue"
    assert env["PATH"] == "/bin"
    assert env["HOME"] == "/srv/app"
    assert env["K_SERVICE"] == "contained"
    assert env["GCE_METADATA_HOST"].startswith("127.0.0.1")
    assert "PYTHONPATH" not in env
    assert says(url, "/who") == ["uid=1234 gid=1235 pid=1 cwd=/srv/app"]


@pins(
    "artifact_registry",
    "Running an image",
    "Layers lie over one another: whiteouts and opaque folders take away what lower ones had",
    documented="OCI image-spec layer.md",
)
def test_layers_lie_over_one_another(url: str) -> None:
    assert sorted(says(url, "/list/opt")) == ["kept", "old"]
    assert says(url, "/list/opt/old") == ["b"]
    assert says(url, "/file/opt/kept") == ["two"]


@pins(
    "artifact_registry",
    "Running an image",
    "An instance sees its image, /proc of its own processes, a small /dev, and secrets and in-memory volumes; nothing "
    "else of the machine, whose network it shares",
    ours="Cloud Run's sandbox has a network of its own",
)
def test_an_instance_sees_its_image_and_nothing_of_the_machine(url: str) -> None:
    assert sorted(says(url, "/list/")) == [
        "bin", "dev", "etc", "opt", "proc", "sbin", "secrets", "srv", "sys", "tmp", "var",
    ]  # fmt: skip
    assert {"null", "zero", "urandom", "shm"} <= set(says(url, "/list/dev"))
    assert says(url, "/file/secrets/pin/pin") == ["1234"]
    assert says(url, "/write/secrets/pin/x") == ["refused"]
    assert says(url, "/write/var/room/x") == ["written"]
    assert says(url, "/file/var/room/x") == ["mine"]
    assert [name for name in says(url, "/list/proc") if name.isdecimal()] == ["1"]
    assert any(line.startswith("nameserver") or line.startswith("#") for line in says(url, "/file/etc/resolv.conf"))


@pins(
    "artifact_registry",
    "Running an image",
    "What an instance writes goes with it; the next one starts from the image again",
    documented="Cloud Run: container contract (in-memory file system)",
)
def test_what_an_instance_writes_goes_with_it(run: Runner, url: str) -> None:
    assert says(url, "/write/srv/app/note") == ["written"]
    assert says(url, "/file/srv/app/note") == ["mine"]
    before = run.pids("contained")
    assert http(f"{url}/crash").status == 503
    assert says(url, "/file/srv/app/note") == ["none"]
    assert run.pids("contained") != before


@pins(
    "artifact_registry",
    "Running an image",
    "A tag is resolved to its digest when the revision is made, and stays there when the tag moves on",
    documented="Cloud Run: deploying (image digests)",
)
def test_a_tag_is_resolved_when_the_revision_is_made(
    run: Runner, repository: Repository, digest: str, server: bytes
) -> None:
    repository.ask("PUT", "manifests/moving", repository.ask("GET", f"manifests/{digest}").body,
                   {"Content-Type": OCI_MANIFEST})  # fmt: skip
    port = run.place.ports["rest"]
    by_door = f"127.0.0.1:{port}/{PROJECT}/apps/tiny"
    made = run.create("tagged", image=f"{by_door}:moving")
    revision = run.revisions.get_revision(name=made.latest_ready_revision)
    assert revision.containers[0].image == f"{by_door}@{digest}"
    assert made.template.containers[0].image == f"{by_door}:moving"
    repository.push("moving", [layer(Entry("server", server))], {"Entrypoint": ["/server"]})
    assert says(made.uri, "/args")[0] == "/sbin/server"


@pins(
    "artifact_registry",
    "Running an image",
    "A template's command takes the place of Entrypoint and Cmd, its args that of Cmd, as in Kubernetes",
    documented="Cloud Run: configure containers",
)
def test_command_and_args_of_the_template_take_the_place_of_the_images(run: Runner, digest: str) -> None:
    made = run.create("args-only", image=f"{HOST}/tiny@{digest}")  # args: the service's id
    assert says(made.uri, "/args") == ["/sbin/server", "args-only"]
    service = run.services.get_service(name=made.name)
    service.template.containers[0].command = ["server"]
    service.template.containers[0].args = []
    service.template.containers[0].working_dir = "/opt/made"
    made = run.update(service)
    assert says(made.uri, "/args") == ["server"]
    assert says(made.uri, "/who")[0].endswith("cwd=/opt/made")


@pins(
    "artifact_registry",
    "Running an image",
    "An index runs as its image for this machine; one without is refused with the platforms it has",
    documented="OCI image-spec image-index.md",
)
def test_an_index_runs_as_its_image_for_this_machine(run: Runner, repository: Repository, digest: str) -> None:
    from tests.local_cloud.images.pusher import ARCHITECTURE

    size = len(repository.ask("GET", f"manifests/{digest}").body)
    child = {"mediaType": OCI_MANIFEST, "digest": digest, "size": size}
    for tag, architecture in (("many", ARCHITECTURE), ("other", "s390x")):
        manifests = [{**child, "platform": {"os": "linux", "architecture": architecture}}]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        assert repository.manifest(tag, index, OCI_INDEX).status == 201
    made = run.create("indexed", image=f"{HOST}/tiny:many")
    assert says(made.uri, "/") == ["hello"]
    with pytest.raises(exceptions.GoogleAPICallError, match=r"it is for linux/s390x"):
        run.create("foreign", image=f"{HOST}/tiny:other")


@pins(
    "artifact_registry",
    "Running an image",
    "A job's tasks run from a pushed image too: their exit codes and lines are the container's",
    documented="Cloud Run: jobs",
)
def test_a_job_runs_from_a_pushed_image(run: Runner, digest: str) -> None:
    jobs = f"{run.place.rest}/v2/{PARENT}/jobs"
    for job_id, code in (("well", "0"), ("badly", "7")):
        container = {"image": f"{HOST}/tiny@{digest}", "args": ["exit", code]}
        body = {"template": {"template": {"containers": [container], "maxRetries": 0}}}
        assert http(f"{jobs}?jobId={job_id}", method="POST", body=json.dumps(body).encode()).status == 200
        started = http(f"{jobs}/{job_id}:run", method="POST", body=b"{}").json
        ended = http(f"{run.place.rest}/v2/{started['name']}:wait", method="POST", body=b'{"timeout": "30s"}').json
        assert ended["done"], ended
        tasks = http(f"{jobs}/{job_id}/executions/-/tasks").json["tasks"]
        assert [task["lastAttemptResult"].get("exitCode", 0) for task in tasks] == [int(code)]


@pins(
    "artifact_registry",
    "Running an image",
    "An image that was neither pushed nor registered is refused with both ways to make it known",
    ours=True,
)
def test_an_image_that_is_nowhere_is_refused_with_both_ways(run: Runner) -> None:
    with pytest.raises(exceptions.NotFound) as refused:
        run.create("nowhere", image=f"{HOST}/nothing@sha256:{'0' * 64}")
    assert f"docker push 127.0.0.1:{run.place.ports['rest']}/{PROJECT}/apps/nothing" in str(refused.value)
    assert "sluice image add" in str(refused.value)
