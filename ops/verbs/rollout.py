"""`sluice rollout`: raise the share of a route, or of a service's new release, step by step, held by gates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

import spec
from ops import place, specs
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.place import Place
from ops.rollout import apply, checkout, gates, lock, page, past, record, session, start
from ops.rollout import finish as finishing
from ops.rollout.decide import WHOLE, next_step
from ops.rollout.options import ABORT, PROMOTE, START, Dwell, Every, Image, Steps, To
from ops.rollout.state import Phase, Raised, Rollout, text
from ops.rollout.store import Store, insisted
from ops.verbs.clock import seconds
from spec.rollout import DIGEST
from spec.stack import LOCAL

#: Exit statuses of `status`: with --check, what is in force is not declared here; without, nobody walks what runs.
DIFFERS, UNWATCHED = 3, 4


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Raise the share of a route or a release, step by step.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("start", help=START)(begin)
    group.command("status", help=f"Show how it stands; exit {UNWATCHED} where nobody looks at it.")(status)
    group.command("pause", help="Hold the share where it stands; gates still roll back.")(pause)
    group.command("resume", help="Go on with the one that was paused, left or killed.")(resume)
    group.command("promote", help=PROMOTE)(promote)
    group.command("abort", help=ABORT)(abort)
    group.command("finish", help="Let go of the revision that was stable before the last promotion.")(finish)
    past.register(group)
    app.add_typer(group, name="rollout")


def begin(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A route, or a service whose new release is tried.")],
    *,
    image: Image = "",
    steps: Steps = "",
    dwell: Dwell = "",
    force: Annotated[bool, typer.Option("--force", help="Begin what was rolled back before, too.")] = False,
    every: Every = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Begin a rollout and walk it."""
    out = Output(as_json=as_json)
    here, system = place.of(stack), specs.load(stack)
    store = Store(here)
    wish = start.Wish(
        target=target, steps=_steps(steps), dwell=seconds(dwell) if dwell else None,
        digest=_digest(image) or _at_hand(here, target, system), force=force,
    )  # fmt: skip
    plan = start.planned(here, store, system, wish)
    what = f"{target} in {stack}: {' '.join(f'{step} %' for step in plan.rules.steps)}"
    if plan.canary:
        what += f", {plan.canary} beside {plan.stable}"
    if dry_run:
        out.say(f"would roll out {what}")
        for planned in page.planned(plan, here.config.rollout):
            out.plain(f"    {planned}", style="dim")
        out.result({"would_start": plan.as_json(), "earliest": [{"percent": n, "at": at} for n, at in page.plan(plan)]})
        return
    confirm_change(here, f"Roll out {what}?", yes=yes, named=confirm, as_json=as_json)

    def first() -> None:
        start.begin(place.of(stack), store, specs.load(stack), wish, plan)
        audited(
            here,
            out.warn,
            "rollout start",
            target,
            rollout=plan.id,
            steps=list(plan.rules.steps),
            canary=plan.canary,
        )

    session.walk(here, store, system, out, begin=first, what=f"rollout of {target}", every=_every(every))


def resume(
    *,
    applied: Annotated[
        bool, typer.Option("--applied", help="The apply that was asked for was run by hand, where the Pulumi CLI is.")
    ] = False,
    every: Every = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Go on."""
    out = Output(as_json=as_json)
    here, system = place.of(stack), specs.load(stack)
    store = Store(here)
    found = _running(store)
    if dry_run:
        where = "; its walk goes on where it runs" if lock.holder_of(here) is not None else ""
        out.say(f"would go on with this: {page.line(found)}{where}")
        out.result({"would_resume": found.as_json()})
        return
    confirm_change(here, f"Go on with this in {stack}: {page.line(found)}?", yes=yes, named=confirm, as_json=as_json)
    if found.phase is Phase.PAUSED:
        found = _word(
            store, lambda kept: kept.turned(Phase.RUNNING, "", here.who).noted(here.now(), here.who, "resumed")
        )
        audited(here, out.warn, "rollout resume", found.target, rollout=found.id)
    if lock.holder_of(here) is not None and found.phase is not Phase.ROLLING_BACK:
        out.step(f"{page.line(found)}; its walk goes on where it runs")
        out.result(found.as_json())
        return
    session.walk(here, store, system, out, what=f"rollout of {found.target}", every=_every(every), by_hand=applied)


def status(
    *,
    check: Annotated[
        bool, typer.Option("--check", help=f"Exit {DIFFERS} where what is in force is not this checkout's config.")
    ] = False,
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Print how it stands."""
    out = Output(as_json=as_json)
    here = place.of(stack)
    store = Store(here)
    found, _ = store.read()
    holder = lock.holder_of(here)
    if found is None:
        out.say("nothing was ever rolled out here")
    else:
        out.say(page.line(found))
        if found.steps and found.running:
            out.plain(f"    {page.looked(found)}", style="dim")
        if found.running and holder:
            out.plain(f"    walked by {holder.who}, process {holder.pid} on {holder.host}", style="dim")
        elif found.running:
            out.refusal(page.unwatched(stack))
        out.plain(f"    ./sluice rollout show {found.id} is its page", style="dim")
    differs = _differs(here, store, found if found and found.running else None) if check else []
    for line in differs:
        out.refusal(line)
    if differs:
        out.plain("    an apply of it would undo that: commit what the rollout wrote, or wait for its end", style="dim")
    held = {"who": holder.who, "host": holder.host, "pid": holder.pid, "since": holder.since} if holder else None
    out.result({"rollout": found.as_json() if found else None, "lock": held, **({"differs": differs} if check else {})})
    if differs:
        raise typer.Exit(DIFFERS)
    if not check and not holder and found and found.running:
        raise typer.Exit(UNWATCHED)


def pause(
    *,
    why: Why = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Hold the share that stands."""
    out = Output(as_json=as_json)
    here = place.of(stack)
    store = Store(here)
    found = _running(store)
    if found.phase is not Phase.PAUSED:
        if found.phase is not Phase.RUNNING:
            raise OpsError(page.line(found), why="its end was decided already", fix="./sluice rollout status")
        if dry_run:
            out.say(f"would hold {found.target} at {found.percent} %")
            out.result({"would_pause": found.as_json()})
            return
        confirm_change(
            here, f"Hold {found.target} in {stack} at {found.percent} %?", yes=yes, named=confirm, as_json=as_json
        )
        note = f"paused at {found.percent} %" + (f": {why}" if why else "")
        found = _word(store, lambda kept: kept.turned(Phase.PAUSED, why, here.who).noted(here.now(), here.who, note))
        audited(here, out.warn, "rollout pause", found.target, rollout=found.id, why=why)
    out.step(f"{found.target} is held at {found.percent} %", "./sluice rollout resume goes on")
    out.result(found.as_json())


def promote(
    *,
    to: To = 0,
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Say what the gates say, ask, and take the step."""
    out = Output(as_json=as_json)
    here, system = place.of(stack), specs.load(stack)
    store = Store(here)
    found = _running(store)
    if found.phase not in (Phase.RUNNING, Phase.PAUSED):
        raise OpsError(page.line(found), why="there is no share to raise", fix="./sluice rollout status")
    meant = to or next_step(found) or WHOLE
    if meant > WHOLE:
        raise BadUsage(f"{meant} % is more than there is", fix="name a share of at most 100: --to 100")
    if not found.percent < meant <= WHOLE and found.percent != WHOLE:
        raise BadUsage(f"{meant} % is no step from {found.percent} %", fix="name a higher share: --to 100")
    said = "no share stands yet" if not found.steps else _verdict(here, system, found)
    out.say(f"the gates at {found.percent} %: {said}")
    if dry_run:
        out.say(f"would {page.meaning(found, meant)}, whatever the gates say")
        out.result({"would_promote_to": meant, "gates": said})
        return
    confirm_change(here, f"Raise {found.target} in {stack} to {meant} % now?", yes=yes, named=confirm, as_json=as_json)
    whole = found.percent == WHOLE
    hand = Raised(percent=meant, at=text(here.now()), who=here.who, gates=said)
    _word(store, lambda kept: _raised(kept, hand))
    audited(here, out.warn, "rollout promote", found.target, rollout=found.id, percent=meant, gates=said)
    done = session.seen_to(
        here, store, system, out,
        lambda kept: kept.phase.over or (not whole and not kept.unset and kept.percent >= meant),
    )  # fmt: skip
    raised = not done.phase.over and done.percent >= meant
    out.step(f"raised to {meant} %: {page.line(done)}" if raised else page.line(done))
    if done.phase is Phase.PAUSED:
        out.plain("    ./sluice rollout resume goes on with the steps after it", style="dim")
    out.result(done.as_json())


def abort(
    *,
    why: Why = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Take it back; it may be started again."""
    out = Output(as_json=as_json)
    here, system = place.of(stack), specs.load(stack)
    store = Store(here)
    found = _running(store)
    if dry_run:
        out.say(f"would take {found.target} back from {found.percent} % to {found.began_at} %")
        out.result({"would_abort": found.as_json()})
        return
    if found.phase is not Phase.ABORTING:
        if found.phase.ending:
            raise OpsError(page.line(found), why="its end was decided already", fix="./sluice rollout resume")
        confirm_change(
            here,
            f"Take {found.target} in {stack} back from {found.percent} % to {found.began_at} %?",
            yes=yes,
            named=confirm,
            as_json=as_json,
        )
        found = _word(store, lambda kept: kept.turned(Phase.ABORTING, why or "asked for", here.who))
    session.ended(out, session.seen_to(here, store, system, out, lambda kept: kept.phase.over), stack)


def finish(
    service: Annotated[str, typer.Argument(metavar="TARGET", help="A service whose release was promoted.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Before its time is over, too (keep_until).")] = False,
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Take away the tag of what was stable before, so that it is kept warm no longer."""
    out = Output(as_json=as_json)
    here, system = place.of(stack), specs.load(stack)
    if service in system.routes:
        raise BadUsage(
            f"{service} is a route: it has no revisions, and nothing of it is kept",
            fix="name a service whose release was promoted; a route is over with its last step",
        )
    start.service_of(system, service)
    previous = finishing.kept(here, service)
    if not previous:
        out.say(f"nothing is kept beside {service}'s stable revision")
        out.result({"finished": None})
        return
    until = here.config.releases[service].keep_until
    if until is not None and here.now() < until and not force:
        raise OpsError(
            f"{previous} is kept until {text(until)}",
            why="a rollback would find nothing to go back to",
            fix=f"wait, or ./sluice rollout finish {service} --force",
        )
    if dry_run:
        out.say(f"would let go of {previous}")
        out.result({"would_finish": previous})
        return
    confirm_change(here, f"Let go of {previous} of {service} in {stack}?", yes=yes, named=confirm, as_json=as_json)
    store = Store(here)
    with lock.held(here, f"finish of {service}"):
        start.free(here, store)
        finishing.finish(place.of(stack), system, out, service, previous)
    audited(here, out.warn, "rollout finish", service, previous=previous)
    out.step(f"{previous} is let go of")
    out.result({"finished": previous})


def _running(store: Store) -> Rollout:
    found, _ = store.read()
    if found is None or not found.running:
        last = f"; the last was {found.id}, {page.end(found)}" if found else ""
        raise OpsError(f"nothing is being rolled out{last}", fix="./sluice rollout start TARGET begins")
    return found


def _word(store: Store, change: Callable[[Rollout], Rollout]) -> Rollout:
    """Write a word to the rollout, whoever walks it; its walk takes it up at its next look."""

    def once() -> Rollout:
        found, generation = store.read()
        if found is None or not found.running or found.phase.ending:
            raise OpsError(page.line(found) if found else "nothing is being rolled out", why="its end was quicker")
        changed = change(found)
        store.write(changed, generation)
        return changed

    return insisted(once)


def _raised(kept: Rollout, hand: Raised) -> Rollout:
    raised = replace(kept, raised=(*kept.raised, hand))
    if kept.percent == WHOLE:
        return raised.turned(Phase.PROMOTING, f"by hand, by {hand.who}", hand.who)
    raised = raised.wanting(hand.percent)
    return replace(raised, why="", by=hand.who) if kept.phase is Phase.RUNNING else raised


def _verdict(here: Place, system: spec.System, rollout: Rollout) -> str:
    verdict = gates.looker(here, system)(rollout, here.now())
    return f"{verdict.kind}: {verdict.why}"


def _differs(here: Place, store: Store, running: Rollout | None) -> list[str]:
    """What is in force and not this checkout's; the revisions of what is being rolled out are in the record."""
    system = specs.load(here.stack)
    others = (name for name in system.services if running is None or name != running.target)
    found = checkout.differences(here, here.config, others)
    if not checkout.same_record(here, system, record.read(store.objects)):
        found.insert(0, f"the shares in force in {here.stack} are not those of this checkout's config")
    return found


def _at_hand(here: Place, target: str, system: spec.System) -> str:
    """The image of the code at hand, for a release on this machine; elsewhere the stack's own."""
    return apply.code_at_hand(here) if here.local and target in system.services else ""


def _digest(text_: str) -> str:
    if text_ and not re.fullmatch(DIGEST, text_):
        raise BadUsage(
            f"--image is {text_[:80]}", fix="write sha256: and 64 hex digits, as `./sluice image push` prints"
        )
    return text_


def _steps(text_: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text_.split(",")) if text_ else ()
    except ValueError as error:
        raise BadUsage(f"{text_!r} are no shares", fix="write --steps 10,50,100") from error


def _every(text_: str) -> float:
    return seconds(text_) if text_ else 0.0
