"""A walk in this terminal: puts the walker together, holds the lock, and says what becomes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import typer

import spec
from ops.errors import OpsError
from ops.output import Output
from ops.place import Place
from ops.rollout import gates, hands, lock, page, ready
from ops.rollout.lock import Lock
from ops.rollout.state import WALK_OVER, WALKS, Phase, Rollout
from ops.rollout.store import Store, insisted
from ops.rollout.walk import LOOK, LOOK_LOCALLY, Walker

#: Real seconds for which a walk that runs gets to do what was asked of it: its apply ends first.
PATIENCE = 1800.0


def walker(
    place: Place, system: spec.System, out: Output, held: Lock, *, every: float = 0.0, by_hand: bool = False
) -> Walker:
    """The walker of this place; `every` so many real seconds it looks."""
    pause = every or (LOOK_LOCALLY if place.local else LOOK)
    return Walker(
        place,
        Store(place),
        hands.effects(place, out, by_hand=by_hand),
        held,
        look=gates.looker(place, system),
        probe=lambda rollout: ready.probe(place, system, rollout),
        tell=out.progress,
        pause=lambda: time.sleep(pause),
        every=pause,
        sleep=time.sleep,
        say=lambda line: out.plain(line, style="dim"),
    )


def walk(
    place: Place,
    store: Store,
    system: spec.System,
    out: Output,
    *,
    begin: Callable[[], None] | None = None,
    what: str = "rollout",
    every: float = 0.0,
    by_hand: bool = False,
) -> None:
    """Walk to the end in the foreground; Ctrl-C leaves the rollout as it stands. Exit 1 where it was rolled back."""
    with lock.held(place, what) as held:
        if begin is not None:
            begin()
        try:
            with noted(place, store, held):
                done = walker(place, system, out, held, every=every, by_hand=by_hand).walk()
        except KeyboardInterrupt:
            left, _ = store.read()
            if left is not None:
                out.say()
                out.plain(f"left: {page.line(left)}")
                out.plain(f"./sluice rollout resume --stack {place.stack} goes on; nobody looks at it meanwhile")
            raise
    ended(out, done, place.stack)


@contextlib.contextmanager
def noted(place: Place, store: Store, held: Lock) -> Iterator[None]:
    """Write on the rollout's page that somebody walks it, and that he left it before its end; a kill leaves no word."""
    holder, before = held.holder, store.read()[0]
    what = f"{WALKS} process {holder.pid} on {holder.host}"
    if before is not None and before.walked:
        what += "; the walk before it had ended without a word: killed, or its machine went away"
    _note(place, store, what)
    try:
        yield
    except KeyboardInterrupt:
        _note(place, store, f"{WALK_OVER}: left by Ctrl-C")
        raise
    except OpsError as error:
        _note(place, store, f"{WALK_OVER}: {error.what}")
        raise
    if not held.lost:
        _note(place, store, f"{WALK_OVER}: what was asked for is done")


def _note(place: Place, store: Store, what: str) -> None:
    """A note to what runs; one that cannot be written stops no walk."""

    def once() -> None:
        found, generation = store.read()
        if found is not None and found.running:
            store.write(found.noted(place.now(), place.who, what), generation)

    with contextlib.suppress(OpsError):
        insisted(once)


def ended(out: Output, done: Rollout, stack: str) -> None:
    """Say how it ended, or who has taken it over."""
    good = done.phase in (Phase.PROMOTED, Phase.ABORTED)
    tell = out.step if good else out.refusal
    tell(page.line(done))
    if done.phase.over:
        out.plain(f"    ./sluice rollout show {done.id} is its page", style="dim")
    if helps := page.swallowed(done, stack):
        out.plain(f"    {helps}")
    out.result(done.as_json())
    if not good:
        raise typer.Exit(1)


def seen_to(place: Place, store: Store, system: spec.System, out: Output, until: Callable[[Rollout], bool]) -> Rollout:
    """See that what was asked for is done: by the walk that runs, or where none does, here."""
    deadline, told = time.monotonic() + PATIENCE, False
    while True:
        found, _ = store.read()
        assert found is not None
        if until(found):
            return found
        try:
            with lock.held(place, f"rollout of {found.target}") as held, noted(place, store, held):
                return walker(place, system, out, held).walk(until)
        except lock.Locked as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                out.progress(f"left to whoever walks it, and waiting for that: {error.what}")
                told = True
            time.sleep(lock.LOOK if place.local else LOOK_LOCALLY)
