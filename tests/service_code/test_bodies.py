"""How much a door reads: a public one what its service declares, every other as much as Cloud Tasks sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from service_code.kit.app import LONGEST_BODY, TooLongError, read_body
from service_code.kit.settings import DEFAULT_PUBLIC_MAX_BODY, SettingsError
from spec import load
from tests.service_code.outer import Outer
from tests.service_code.test_kit import ROOT
from tests.service_code.world import Clock, World


class Pieces:
    """A body in pieces, which counts how many were asked for."""

    def __init__(self, *pieces: bytes, length: str | None = None) -> None:
        self.left, self.asked = list(pieces), 0
        headers = [] if length is None else [(b"content-length", length.encode())]
        self.request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        self.asked += 1
        piece = self.left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.left)}


async def test_nothing_is_read_of_a_body_that_says_that_it_is_too_long() -> None:
    body = Pieces(b"x" * 11, length="11")
    with pytest.raises(TooLongError, match="longer than 10 bytes"):
        await read_body(body.request, 10)
    assert body.asked == 0


@pytest.mark.parametrize("length", [None, "3", "nonsense", "-1"])
async def test_a_body_in_chunks_is_read_up_to_the_limit_whatever_it_says_of_itself(length: str | None) -> None:
    body = Pieces(*(b"xxx" for _ in range(50)), length=length)
    with pytest.raises(TooLongError):
        await read_body(body.request, 10)
    assert body.asked == 4


async def test_a_body_of_just_the_limit_is_taken() -> None:
    assert await read_body(Pieces(b"xxxxx", b"xxxxx", length="10").request, 10) == b"x" * 10


@pytest.fixture
async def hearer(outer: Outer) -> AsyncIterator[Any]:
    world = World(outer, "postgresql://{user}@127.0.0.1:9/nothing", "http://127.0.0.1:9/rpc", Clock())
    async with world.run("gchostpay4", PUBLIC_MAX_BODY="2000") as service:
        yield service


async def test_a_public_door_refuses_more_than_its_service_declares_with_a_clear_error(hearer: Any) -> None:
    answer = await hearer.post("/", b"x" * 2001)
    assert (answer.status, answer.json()) == (413, {"error": "the body is longer than 2000 bytes"})
    assert (await hearer.post("/", b"x" * 2000)).status != 413


async def test_a_limit_that_is_no_number_stops_the_start(outer: Outer) -> None:
    world = World(outer, "postgresql://{user}@127.0.0.1:9/nothing", "http://127.0.0.1:9/rpc", Clock())
    with pytest.raises(SettingsError, match="PUBLIC_MAX_BODY"):
        async with world.run("gchostpay4", PUBLIC_MAX_BODY="64KiB"):
            pass


def test_the_kit_and_the_specs_agree_on_the_limits() -> None:
    from spec.service import LARGEST_BODY

    public = [service for service in load(ROOT).services.values() if service.public]
    assert {service.max_body_bytes for service in public} >= {DEFAULT_PUBLIC_MAX_BODY}
    assert LARGEST_BODY == LONGEST_BODY
