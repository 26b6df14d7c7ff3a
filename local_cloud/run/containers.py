"""What containers and volumes of a template must be to be accepted, and what Cloud Run fills in for them.

Pure functions over messages, for services and jobs alike. Sources: https://cloud.google.com/run/docs/container-contract,
.../configuring/healthchecks, .../configuring/services/secrets and google/cloud/run/v2/k8s.min.proto.
Messages are Google's where one was seen (`Violation in ...`), otherwise ours in its style.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, bad_request, invalid
from local_cloud.run.resources import quantity, wrong_limits

RESERVED_ENV = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
JOB_RESERVED_ENV = frozenset({
    "CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_ATTEMPT", "CLOUD_RUN_TASK_COUNT",
})  # fmt: skip
#: Nothing may be mounted over these.
SYSTEM_FOLDERS = ("/", "/dev", "/proc", "/sys")
#: Seconds that a start, or the delay before a probe, may take at most; and the period and timeout of other probes.
MAX_START, MAX_PERIOD = 240, 3600

_ENV = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")


def violation(where: str, why: str) -> ApiError:
    """INVALID_ARGUMENT with the field that is wrong."""
    return invalid(f"Violation in {where}: {why}", bad_request([(where, why)]))


def fill_in_resources(containers: Iterable[Message], *, serves: bool) -> None:
    """CPU and memory where nothing was said; without any word on resources a service's CPU is its requests' alone.

    Who sends resources says so itself: `cpu_idle` false beside them means that CPU is always there (k8s.min.proto).
    """
    for container in containers:
        if not container.HasField("resources") and serves:
            container.resources.cpu_idle = True
        if not container.resources.limits:
            container.resources.limits["cpu"] = "1000m"
            container.resources.limits["memory"] = "512Mi"


def fill_in_probes(container: Message) -> None:
    """The startup probe that every serving container has, and what declared probes leave out."""
    port = container.ports[0].container_port
    probe = container.startup_probe
    if not probe.WhichOneof("probe_type"):
        probe.tcp_socket.port = port
        probe.timeout_seconds = probe.timeout_seconds or MAX_START
        probe.period_seconds = probe.period_seconds or MAX_START
        probe.failure_threshold = probe.failure_threshold or 1
    for name in ("startup_probe", "liveness_probe", "readiness_probe"):
        probe = getattr(container, name)
        kind = probe.WhichOneof("probe_type")
        if kind is None:
            continue
        probe.timeout_seconds = probe.timeout_seconds or 1
        probe.period_seconds = probe.period_seconds or 10
        probe.failure_threshold = probe.failure_threshold or 3
        if kind == "http_get" and not probe.http_get.path:
            probe.http_get.path = "/"
        if not getattr(probe, kind).port:
            getattr(probe, kind).port = port


def check_containers(
    containers: Iterable[Message],
    where: str,
    *,
    volumes: Collection[Message] = (),
    reserved: Collection[str] = RESERVED_ENV,
) -> None:
    """Refuse containers that Cloud Run would refuse at once."""
    names: set[str] = set()
    known = {volume.name for volume in volumes}
    for index, container in enumerate(containers):
        at = f"{where}[{index}]"
        if container.name and container.name in names:
            raise violation(f"{at}.name", f"the name '{container.name}' is there twice.")
        names.add(container.name)
        _check_container(container, at, reserved)
        _check_mounts(container, known, at)


def _check_container(container: Message, where: str, reserved: Collection[str]) -> None:
    if not container.image:
        raise violation(f"{where}.image", "a container needs an image.")
    if container.HasField("source_code"):
        raise violation(f"{where}.source_code", "the local cloud builds nothing: give an image by its digest.")
    if len(container.ports) > 1:
        raise violation(f"{where}.ports", "at most one port can be set.")
    for port in container.ports:
        if not 1 <= port.container_port <= 65535:
            raise violation(f"{where}.ports[0].container_port", "must be between 1 and 65535.")
        if port.name not in ("", "http1", "h2c"):
            raise violation(f"{where}.ports[0].name", f"'{port.name}' must be http1 or h2c.")
    _check_environment(container, where, reserved)
    limits = container.resources.limits
    if limits and (wrong := wrong_limits(limits.get("cpu", ""), limits.get("memory", ""))):
        raise violation(f"{where}.resources.limits.{wrong[0]}", wrong[1])
    for name in ("startup_probe", "liveness_probe", "readiness_probe"):
        _check_probe(container, name, f"{where}.{name}")


def _check_environment(container: Message, where: str, reserved: Collection[str]) -> None:
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        at = f"{where}.env[{index}]"
        if variable.name in reserved:
            raise violation(f"{at}.name", f"The following reserved env names were provided: {variable.name}.")
        if not _ENV.fullmatch(variable.name):
            raise violation(f"{at}.name", f"'{variable.name}' is no name of an environment variable.")
        if variable.name in seen:
            raise violation(f"{at}.name", f"the variable '{variable.name}' is there twice.")
        seen.add(variable.name)
        reference = variable.value_source.secret_key_ref
        if variable.HasField("value_source") and not (reference.secret and reference.version):
            raise violation(f"{at}.value_source.secret_key_ref", "secret and version are required.")


def _check_probe(container: Message, name: str, where: str) -> None:
    probe = getattr(container, name)
    start = name == "startup_probe"
    longest = MAX_START if start else MAX_PERIOD
    if not 0 <= probe.initial_delay_seconds <= MAX_START:
        raise violation(f"{where}.initial_delay_seconds", f"must be between 0 and {MAX_START}.")
    for field in ("timeout_seconds", "period_seconds"):
        if not 0 <= getattr(probe, field) <= longest:
            raise violation(f"{where}.{field}", f"must be between 1 and {longest}.")
    if probe.failure_threshold < 0:
        raise violation(f"{where}.failure_threshold", "must be at least 1.")
    if probe.timeout_seconds > probe.period_seconds:
        raise violation(f"{where}.timeout_seconds", "must not exceed period_seconds.")
    if start and max(probe.period_seconds, probe.timeout_seconds) * probe.failure_threshold > MAX_START:
        raise violation(where, f"the total time allowed must not exceed {MAX_START} seconds.")
    kind = probe.WhichOneof("probe_type")
    port = container.ports[0].container_port if container.ports else 0
    asked = getattr(probe, kind).port if kind else 0
    if asked and port and asked != port:
        raise violation(
            f"{where}.{kind}.port",
            f"{asked} is not the container's port {port}: the local cloud gives an instance one port and probes that.",
        )


def _check_mounts(container: Message, known: Collection[str], where: str) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        at, path = f"{where}.volume_mounts[{index}]", PurePosixPath(mount.mount_path)
        if mount.name not in known:
            raise violation(f"{at}.name", f"the template has no volume '{mount.name}'.")
        if not path.is_absolute() or ".." in path.parts or str(path) in SYSTEM_FOLDERS or str(path) in seen:
            raise violation(f"{at}.mount_path", f"'{mount.mount_path}' must be absolute, its own and no system folder.")
        if PurePosixPath(mount.sub_path).is_absolute() or ".." in PurePosixPath(mount.sub_path).parts:
            raise violation(f"{at}.sub_path", f"'{mount.sub_path}' must lie within the volume.")
        seen.add(str(path))


def check_volumes(volumes: Iterable[Message], where: str) -> None:
    """Refuse volumes that Cloud Run would refuse at once."""
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at, kind = f"{where}[{index}]", volume.WhichOneof("volume_type")
        if not volume.name or volume.name in seen:
            raise violation(f"{at}.name", "a volume needs a name of its own.")
        seen.add(volume.name)
        if kind is None:
            raise violation(at, f"the volume '{volume.name}' has no source.")
        if kind == "secret":
            _check_secret(volume.secret, f"{at}.secret")
        limit = volume.empty_dir.size_limit
        if kind == "empty_dir" and limit and not quantity(limit):
            raise violation(f"{at}.empty_dir.size_limit", f"'{limit}' is no amount of memory.")


def _check_secret(source: Message, where: str) -> None:
    if not source.secret:
        raise violation(f"{where}.secret", "a secret is required.")
    if not 0 <= source.default_mode <= 0o777:
        raise violation(f"{where}.default_mode", "must be between 0 and 0777.")
    for index, item in enumerate(source.items):
        path = PurePosixPath(item.path)
        if not item.path or path.is_absolute() or ".." in path.parts:
            raise violation(f"{where}.items[{index}].path", f"'{item.path}' must be a path within the volume.")
        if not 0 <= item.mode <= 0o777:
            raise violation(f"{where}.items[{index}].mode", "must be between 0 and 0777.")
