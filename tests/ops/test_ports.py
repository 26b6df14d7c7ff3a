"""A stack's ports that are still in use: what is just ending is waited for, what stays is said with waiting first."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.home import Home, Ports, free_ports
from ops.supervisor import control


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Home, Ports, socket.socket]]:
    """A home one of whose ports something listens on; a supervisor that is started is none."""
    home = Home(tmp_path)
    numbers = free_ports(7)
    ports = Ports(**dict(zip(Ports.__dataclass_fields__, numbers, strict=True)))
    home.write("stack.json", {"ports": asdict(ports)})
    monkeypatch.setattr(control, "_spawn", lambda _home: None)
    monkeypatch.setattr(control, "_wait_ready", lambda _home, _tell: None)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", ports.sandbox))
        listening.listen()
        yield home, ports, listening


def test_a_port_of_what_is_just_ending_is_waited_for(held: tuple[Home, Ports, socket.socket]) -> None:
    home, ports, listening = held
    told: list[str] = []

    def tell(said: str) -> None:
        told.append(said)
        listening.close()  # it ends

    assert control.start(home, ports, tell)
    assert told == [f"waiting for ports that are still in use: {ports.sandbox} (sandbox)"]


def test_a_port_that_stays_in_use_is_said_with_waiting_first(
    held: tuple[Home, Ports, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, ports, _ = held
    monkeypatch.setattr(control, "FREED_WITHIN", 0.0)
    with pytest.raises(OpsError, match=f"in use.*{ports.sandbox} \\(sandbox\\)") as caught:
        control.start(home, ports, lambda _said: None)
    assert caught.value.fix.startswith("wait a minute and run ./sluice up again")
