"""Cloud Run across the death of the cloud: nothing is left behind, and everything is there again."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from google.api_core import exceptions
from google.cloud import run_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, process
from tests.local_cloud.image import until
from tests.local_cloud.run_client import Runner, http, runner

pins(
    "run",
    "Instances",
    "Nothing is left when the cloud is killed; a restart has services and images again",
    ours=True,
)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_killed_cloud_leaves_no_process_and_a_restart_serves_again(tmp_path: Path) -> None:
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        secret = run.add_secret("KEPT", b"still here")
        run.bind(secret, "roles/secretmanager.secretAccessor", f"serviceAccount:{run.account('tiny-runner')}")
        env = [{"name": "KEPT", "value_source": {"secret_key_ref": {"secret": "KEPT", "version": "latest"}}}]
        made = run.create("lasting", env=env, revision="lasting-a")
        pid = http(f"{made.uri}/env").json["pid"]
        assert run.pids("lasting") == [pid]
        place.kill()
        asyncio.run(until(lambda: gone(pid)))
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        again = run.services.get_service(name=f"{PARENT}/services/lasting")
        assert again.latest_ready_revision.endswith("lasting-a")
        assert again.uri.startswith(place.rest), "the URL follows the door that is open now"
        assert run.status()["lasting"]["instances"] == []
        seen = http(f"{again.uri}/env").json
        assert seen["env"]["KEPT"] == "still here"
        os.kill(seen["pid"], signal.SIGKILL)
        asyncio.run(until(lambda: http(again.uri).status == 200))
        [pid] = run.pids("lasting")
    asyncio.run(until(lambda: gone(pid)))
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and b"still here" in path.read_bytes()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, f"{path} holds a secret and others may read it"


@pins(
    "run",
    "Services and revisions",
    "A deployment that the end of the cloud cut short is taken up again at its restart",
    ours=True,
)
def test_deployment_goes_on_after_a_kill(tmp_path: Path) -> None:
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        slow = {"tcp_socket": {}, "initial_delay_seconds": 1}
        service = run.service("interrupted", probe=slow)
        thread = threading.Thread(target=lambda: _ignore(lambda: deploy(run, service)))
        thread.start()
        asyncio.run(until(lambda: bool(run.status().get("interrupted", {}).get("instances"))))
        place.kill()
        thread.join()
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        name = f"{PARENT}/services/interrupted"
        asyncio.run(until(lambda: not run.services.get_service(name=name).reconciling))
        assert run.services.get_service(name=name).latest_ready_revision


def deploy(run: Runner, service: run_v2.Service) -> None:
    run.services.create_service(parent=PARENT, service=service, service_id="interrupted")


def _ignore(call: Callable[[], None]) -> None:
    with contextlib.suppress(exceptions.GoogleAPICallError):
        call()
