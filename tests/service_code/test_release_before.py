"""A release and the one before it understand each other, both ways: messages, tokens, and the outbox's rows.

What recorded releases say stands in said/<commit>.json (`speech`), so that it is read here without a history. Where git
has the commit, its own code reads what ours says, and takes up rows that ours has written.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service_code.kit.clock import moment
from service_code.kit.tokens import Purpose
from tests.service_code import speech
from tests.service_code.speech import SAID
from tests.service_code.world import World

RELEASES = sorted(path.stem for path in SAID.glob("*.json"))


@pytest.fixture(scope="module", params=RELEASES)
def before(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The services of a recorded release."""
    try:
        return speech.checkout(request.param, tmp_path_factory.mktemp("before"))
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip(f"the history does not go back to {request.param}")


def test_every_message_and_token_has_a_sample() -> None:
    assert {name.partition(" ")[0] for name in speech.SAMPLES} == set(speech.classes()) - speech.NEVER_SENT
    assert set(speech.claims()) == set(Purpose)


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_before_says_is_read(release: str) -> None:
    said = json.loads((SAID / f"{release}.json").read_text())
    assert said["messages"].keys() <= speech.SAMPLES.keys(), "a message was taken away: a queue may still hold it"
    assert speech.hear(said) == []


async def test_a_release_before_reads_what_ours_says_and_its_speech_is_as_recorded(before: Path) -> None:
    assert await speech.other(before, "hear", speech.say()) == []
    recorded = [json.loads((SAID / f"{release}.json").read_text()) for release in RELEASES]
    assert await speech.other(before, "say") in recorded


def environ(world: World, *, older: bool) -> dict[str, str]:
    """gcwebhook's, and what its release before had of it."""
    found = world.environ("gcwebhook")
    if older:
        endpoints, queues = json.loads(found["ENDPOINTS"]), json.loads(found["QUEUES"])
        del endpoints["storage"], found["ROLLOUT_BUCKET"]
        for edge in queues.values():
            del edge["canary_url"], edge["receiver"], edge["meets"]
        found |= {"ENDPOINTS": json.dumps(endpoints), "QUEUES": json.dumps(queues)}
    return found


async def test_rows_that_a_release_before_has_written_are_sent_to_what_is_stable(
    world: World, before: Path, sql: Any
) -> None:
    world.rollout(releases={"gcsplit": (100, "gcsplit-t"), "gcwebhook": (100, "gcwebhook-t")})
    assert await speech.other(before, "write", [environ(world, older=True), world.clock.at]) == 4
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE pins IS NULL AND way = 'queue'") == 4
    world.clock.at += 11
    async with world.run("gcwebhook") as webhook:
        assert (await webhook.sweep())["resent"] == 4
        async with webhook.kit.db.transaction() as connection:  # and who was sent there before stays there
            sends = [replace(send, key="2") for send in speech.sends()]
            again = await webhook.kit.outbox.write(connection, sends, moment(world.clock))
    assert {task.tag for task in world.outer.tasks} == {""}
    known = speech.classes()
    heard = {known[task.json()["message"]].decode(task.body).wire()["unique_id"] for task in world.outer.tasks}
    assert heard == {"pay-1", "pay-2"}
    assert {side for row in again for side in (row.pins or {}).values()} == {"stable"}


async def test_a_release_before_sends_the_rows_that_ours_has_written_and_reads_its_own_database(
    world: World, before: Path, sql: Any
) -> None:
    world.rollout(releases={"gcsplit": (100, "gcsplit-t")})
    assert await speech.rows("write", environ(world, older=False), world.clock.at) == 4
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE pins ->> 'gcsplit' = 'gcsplit-t'") == 2
    given = [environ(world, older=True), world.clock.at + 11]
    assert await speech.other(before, "resend", given) == 4
    assert {task.tag for task in world.outer.tasks} == {""}
    said = {"messages": {task.json()["message"]: task.json() for task in world.outer.tasks}, "tokens": {}}
    assert await speech.other(before, "hear", said) == []
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0
