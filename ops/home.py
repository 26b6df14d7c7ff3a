"""Where a local stack keeps its state: SLUICE_HOME and the files in it.

Owns the folder's layout, the choice of ports and their record (`stack.json`). Leaves what stands inside cloud/,
postgres/, sandbox/ and engine/ to the processes that own it.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops.errors import OpsError

#: The folder that holds the rooms (stacks/, spec/, ...): where this file's package stands.
ROOT = Path(__file__).resolve().parent.parent

#: Ports of the default home. stacks/Pulumi.local.yaml names the same ones, so that the Pulumi CLI finds them.
DEFAULT_PORTS = {
    "rest": 8580, "grpc": 8581, "service_rest": 8582, "service_grpc": 8583,
    "sandbox": 8584, "chain": 8585, "postgres": 8586,
}  # fmt: skip

#: Free ports are looked for below the range from which systems take outgoing ports (32768 on Linux).
FREE_PORTS = range(20000, 32000)

#: What a stack keeps in its home; `down --erase` deletes these and nothing else.
OWN = re.compile(
    r"(?:cloud|postgres|sandbox|engine|images|logs|supervisor\.lock"
    r"|(?:stack|supervisor|secrets|first-payment|new-queues)\.json(?:\.\d+\.new)?|stack\.yaml(?:\.\d+\.new)?)"
)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One TCP port on 127.0.0.1 for each listener of a local stack."""

    rest: int
    grpc: int
    service_rest: int
    service_grpc: int
    sandbox: int
    chain: int
    postgres: int


@dataclass(frozen=True)
class Home:
    """The state folder of one local stack."""

    path: Path

    @classmethod
    def find(cls) -> Home:
        """SLUICE_HOME, or .sluice beside the rooms."""
        return cls(Path(os.environ.get("SLUICE_HOME") or ROOT / ".sluice").expanduser().resolve())

    @property
    def is_default(self) -> bool:
        """Whether this is the home that a newcomer gets, whose ports are the documented ones."""
        return self.path == (ROOT / ".sluice").resolve()

    def folder(self, name: str) -> Path:
        """The folder `name` of this home, made if it is missing."""
        place = self.path / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def prepare(self) -> None:
        """Make the folder, readable by its owner alone: it holds keys. A folder of somebody else's is refused."""
        try:
            if self.path.is_dir() and not (self.path / "stack.json").exists() and self.foreign():
                raise OpsError(
                    f"{self.path} holds files that are not a local stack's: {', '.join(self.foreign()[:3])}",
                    why="a stack's keys and state would lie among them",
                    fix="name an empty or a new folder: SLUICE_HOME=/some/folder ./sluice up",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            if os.geteuid() != 0:
                self.path.chmod(0o700)
            self.folder("logs")
        except OSError as error:
            raise OpsError(
                f"the state folder {self.path} cannot be used: {error.strerror}",
                fix="choose another one: SLUICE_HOME=/some/folder ./sluice up",
            ) from error

    def foreign(self) -> list[str]:
        """Names in the folder that are not a stack's."""
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if not OWN.fullmatch(entry.name))

    def ports(self) -> Ports | None:
        """The ports of this stack, or None before its first `up`."""
        record = self.read("stack.json")
        return Ports(**record["ports"]) if record else None

    def choose_ports(self) -> Ports:
        """The recorded ports, or new ones: the documented ones where this is the default home and they are free."""
        ports = self.ports()
        if ports is None:
            free = self.is_default and all(is_free(port) for port in DEFAULT_PORTS.values())
            ports = Ports(**DEFAULT_PORTS) if free else Ports(**dict(zip(DEFAULT_PORTS, free_ports(7), strict=True)))
            self.write("stack.json", {"ports": asdict(ports)})
        return ports

    def read(self, name: str) -> Any:
        """A JSON file of this home, or None where it is missing."""
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise OpsError(
                f"{self.path / name} cannot be read: {error}",
                why="it records what the local stack is made of",
                fix="./sluice down --erase, then ./sluice up, makes a new stack",
            ) from error

    def write(self, name: str, value: Any) -> None:
        """Replace a JSON file of this home in one step, readable by its owner alone."""
        place = self.path / name
        draft = place.with_name(f"{place.name}.{os.getpid()}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)


def code_of(*rooms: str) -> str:
    """A hash over the code of rooms: a process that was started from other code is not what the checkout says."""
    hasher = sha256()
    for path in sorted(path for room in rooms for path in (ROOT / room).rglob("*.py")):
        hasher.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()[:16]


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now, in no order."""
    found: list[int] = []
    for port in random.sample(FREE_PORTS, len(FREE_PORTS)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OpsError("no free ports between 20000 and 32000 on 127.0.0.1", fix="stop what listens there")


def taken(ports: Iterable[int]) -> list[int]:
    """Those of these ports that something listens on."""
    return [port for port in ports if not is_free(port)]
