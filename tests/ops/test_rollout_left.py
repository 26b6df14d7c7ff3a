"""A release is not begun while tasks of the one before still follow the tag to whatever is tried."""

from __future__ import annotations

import dataclasses

import pytest

from ops.queues.tasks import PROBE
from ops.rollout import aftermath, page
from ops.rollout.left import READ_BY_ALL
from ops.rollout.state import Phase
from tests.ops.rollouts import CANARY, SERVICE, STABLE, World
from tests.ops.test_rollout_verbs import Run, here, kept, sluice

__all__ = ["here", "kept", "sluice"]


def queue_of(here: World, name: str) -> str:
    """A queue that stands still."""
    place, queue = here.place, f"{here.place.parent}/queues/{name}"
    place.call("tasks", "POST", f"{place.parent}/queues", {"name": queue})
    place.call("tasks", "POST", f"{queue}:pause", {})
    return queue


def put(here: World, queue: str, tag: str | None, **headers: str) -> str:
    """A task for the service's tag; its name."""
    request = {"url": f"{here.place.url(SERVICE, tag)}/split", "headers": headers}
    return str(here.place.call("tasks", "POST", f"{queue}/tasks", {"task": {"httpRequest": request}})["name"])


def test_it_waits_for_the_tasks_that_the_last_one_has_left_and_says_how_to_move_them(here: World, sluice: Run) -> None:
    queue = queue_of(here, "split-payment-queue")
    put(here, queue, None)
    put(here, queue, "canary", **{PROBE: "a-run"})
    left = [put(here, queue, "canary"), put(here, queue, "canary")]
    before = here.writes
    code, said = sluice("rollout", "start", SERVICE, "--yes", "--dwell", "1h")
    assert (code, "2 tasks still wait for the release of gcsplit before this one" in said) == (1, True), said
    assert "2 in split-payment-queue" in said
    assert "./sluice queues move split-payment-queue --to-side stable" in " ".join(said.split())
    assert here.writes == before
    assert sluice("rollout", "start", "payout", "--yes", "--dwell", "1h")[0] == 0, "a route has no tag"
    for task in left:
        here.place.call("tasks", "DELETE", task)
    assert sluice("rollout", "start", SERVICE, "--yes", "--dwell", "1h")[0] == 0


def test_what_senders_leave_after_the_check_meets_no_release_that_was_not_there(here: World) -> None:
    """One release was promoted and the next is begun: whoever has not read of that still sends to the tag."""
    here.begin(SERVICE, steps=(100,))
    assert here.walk().phase is Phase.PROMOTED
    queue, after = queue_of(here, "late-queue"), "gcsplit-u"
    tag, seen = here.roles(), list[str]()
    assert (tag.stable, tag.canary) == (CANARY, ""), "the tag leads to what was promoted"
    begun = dataclasses.replace(here.begin(SERVICE, steps=(100,)), stable=CANARY, canary=after)
    here.store.write(begun, here.store.read()[1])
    late = ""

    def reads(_seconds: float) -> None:
        nonlocal late
        if not late:  # five seconds old is what a sender goes by, and the task is for tomorrow
            late = put(here, queue, "canary")

    def waits(_seconds: float = 0.0) -> None:
        seen.append(here.roles().canary)
        if len(seen) == 3:
            here.place.call("tasks", "DELETE", late)

    with here.walker() as walker:
        walker.sleep, walker.pause = reads, waits
        walker.walk(lambda now: now.percent == 100)
    assert seen == ["", "", ""], "as long as it waits the tag is not turned"
    assert any("not deployed yet: 1 tasks still wait" in line and "late-queue" in line for line in here.told)
    assert here.roles().canary == after
    here.place.call("tasks", "DELETE", queue)


def test_one_that_waits_says_for_what_and_the_command_and_writes_nothing_anew(here: World, sluice: Run) -> None:
    here.begin(SERVICE, steps=(100,))
    queue = queue_of(here, "full-queue")
    task, writes, said = put(here, queue, "canary"), list[int](), list[str]()

    def waits(_seconds: float = 0.0) -> None:
        writes.append(here.writes)
        said.append(sluice("rollout", "status")[1])
        if len(writes) == 3:
            here.place.call("tasks", "DELETE", task)

    with here.walker() as walker:
        walker.pause, walker.seconds, here.slept[:] = waits, lambda: 100.0, []
        walker.walk(lambda now: now.phase is Phase.RUNNING)
    assert writes[0] == writes[1] == writes[2], "as long as nothing changes"
    assert here.slept == [READ_BY_ALL], "it waits once until all have read it"
    for told in said:
        flat = " ".join(told.split())
        assert "1 tasks still wait for the release of gcsplit before this one: 1 in full-queue" in flat
        assert "./sluice queues move full-queue --to-side stable" in flat
    assert "still wait" not in sluice("rollout", "status")[1]
    here.place.call("tasks", "DELETE", queue)


def test_an_abort_ends_one_that_waits_for_what_the_last_one_has_left(here: World) -> None:
    here.begin(SERVICE, steps=(100,))
    queue = queue_of(here, "kept-queue")
    put(here, queue, "canary")

    def waits(_seconds: float = 0.0) -> None:
        found, generation = here.store.read()
        assert found is not None
        here.store.write(found.turned(Phase.ABORTING, "", "a person"), generation)

    with here.walker() as walker:
        walker.pause = waits
        assert walker.walk().phase is Phase.ABORTED
    assert (here.roles().stable, here.roles().canary) == (STABLE, "")
    here.place.call("tasks", "DELETE", queue)


def test_what_is_too_much_to_be_counted_is_said_to_be_at_least_that(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftermath, "MOST", 1)
    begun, queue = here.begin(SERVICE), queue_of(here, "long-queue")
    resource = {"type": "cloud_run_revision", "labels": {"revision_name": CANARY}}
    entry = {"logName": f"projects/{here.place.project}/logs/a", "resource": resource}
    entries = [{**entry, "jsonPayload": {"unique_id": str(number)}} for number in range(3)]
    for _ in entries:
        put(here, queue, "canary")
    here.place.call("logging", "POST", "entries:write", {"entries": entries})
    counts = aftermath.after(here.place, begun, begun.began)
    assert sorted(counts["at_least"]) == ["payments_met", "queued"]
    done = page.markdown(dataclasses.replace(begun, counts=counts))
    assert "at least 1 payments met it" in done
    assert "at least 1 tasks that wait for it were never tried" in done
    here.place.call("tasks", "DELETE", queue)


def test_who_met_a_revision_that_named_no_payment_is_told_by_the_traces_of_its_messages(here: World) -> None:
    """A message of gcsplit's is a token: a revision that answers without opening it names nobody."""
    begun = here.begin(SERVICE)

    def line(service: str, revision: str, **said: str | None) -> dict[str, object]:
        labels = {"service_name": service, "revision_name": revision}
        resource = {"type": "cloud_run_revision", "labels": labels}
        return {"logName": f"projects/{here.place.project}/logs/a", "resource": resource, "jsonPayload": said}

    def silent(trace: str, task: str) -> dict[str, object]:
        return line(SERVICE, CANARY, event="handled", unique_id=None, trace=trace, task=task)

    entries = [
        line("gcwebhook", "gcwebhook-1", unique_id="P1", trace="a"),
        *(silent("a", "one-task") for _ in range(3)),  # its retries are the same message
        line(SERVICE, CANARY, event="handled", unique_id="P2", trace="b"),
        *(line(SERVICE, STABLE, unique_id=of, trace="swept") for of in ("P3", "P4", "P5")),
        silent("swept", "another"),
        line(SERVICE, STABLE, unique_id="P6", trace="beside"),
        line(SERVICE, CANARY, event="answered", unique_id=None, trace="a-schedule"),
    ]
    write = {"entries": entries}
    here.place.call("logging", "POST", "entries:write", write)
    counts = aftermath.after(here.place, begun, begun.began)
    assert (counts["payments_met"], counts["payments"]) == (3, ["P1", "P2"])
    assert "unnamed" not in counts
    write["entries"] = [silent("nobody-s", "a-third")]
    here.place.call("logging", "POST", "entries:write", write)
    counts = aftermath.after(here.place, begun, begun.began)
    said = page.markdown(dataclasses.replace(begun, counts=counts))
    assert "at least 3 payments met it: P1, P2 and 1 more" in said
    assert "1 messages that it answered are not among them" in said
    assert "`./sluice resend --all`" in said
