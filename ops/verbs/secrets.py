"""`sluice secrets list|rotate`: which versions services read, and how a secret is changed without a gap.

Owns the command line; the walk is ops/secrets. No value is ever an argument, printed or written to a file here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import spec
from ops import place, specs
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage
from ops.output import Output
from ops.place import Place
from ops.rollout import lock
from ops.rollout.state import shown, text
from ops.secrets.kept import Book, Rotation, Step
from ops.secrets.rotation import Waiting, Walk, checked, refuse
from ops.secrets.values import Values
from ops.stack import under_way
from spec.errors import choose
from spec.secret import Rotation as Kind
from spec.stack import LOCAL

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret, as in queue_configs/secrets/.")]
FromFile = Annotated[
    str, typer.Option("--from-file", metavar="FILE", help="A partner's new value; - is standard input.")
]
Finish = Annotated[bool, typer.Option("--finish", help="Destroy the disabled versions of the last rotation.")]
Force = Annotated[bool, typer.Option("--force", help="Let the old key go now: what it has signed is refused.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list", help="List secrets, the versions that are read, and rotations.")(listed)
    group.command("rotate", help="Change a secret step by step; go on where the last run stopped.")(rotate)
    app.add_typer(group, name="secrets", help="List secrets, and change them without an interruption.")


def listed(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Every secret: kind, versions, readers, rotation."""
    out, here, system = Output(as_json=as_json), place.of(stack), specs.load(stack)
    found = [_row(here, secret, system) for _, secret in sorted(system.secrets.items())]
    out.table(
        ["secret", "kind", "pinned", "enabled", "read by", "rotation"],
        [
            [one["name"], one["rotation"], one["pinned"], " ".join(one["enabled"]), " ".join(one["readers"]),
             one["stands"]]
            for one in found
        ],
    )  # fmt: skip
    out.result(found)


def rotate(
    *,
    name: Name,
    stack: WhichStack = LOCAL,
    from_file: FromFile = "",
    finish: Finish = False,
    force: Force = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Rotate one secret, or go on with it."""
    out, here, system = Output(as_json=as_json), place.of(stack), specs.load(stack)
    if name not in system.secrets:
        raise BadUsage(f"there is no secret {name!r}", fix=choose(name, list(system.secrets), noun="secret"))
    secret = system.secrets[name]
    refuse(secret)
    if dry_run:
        plan = Walk(here, secret, system, out).plan()
        for number, line in enumerate(plan, 1):
            out.plain(f"{number}. {line}")
        out.result({"name": name, "stack": stack, "plan": plan})
        return
    if from_file and secret.rotation is Kind.SIGN:
        raise BadUsage(f"{name} is a key of ours, made at random", fix="leave out --from-file")
    value = checked(secret, _read(from_file)) if from_file else ""
    under_way.refuse(here, why="a rotation changes templates, which is refused while a release is tried")
    with lock.held(here, f"secrets rotate {name}"):
        walk = Walk(here, secret, system, out)
        confirm_change(
            here, _question(walk, name, stack, finish=finish, force=force), yes=yes, named=confirm, as_json=as_json
        )
        waiting = walk.finish(force=force) if finish else _walked(walk, value, force=force)
    if waiting is not None:
        out.say(f"{name} waits {shown(waiting.seconds)}: {waiting.why}.")
        again = f"./sluice secrets rotate {name} --stack {stack}" + (" --finish" if finish else "")
        out.say(f"Then: {again}" + ("" if finish else "   (--force: now, and what the old key signed is refused)"))
    elif not finish:
        out.say(f"The old value of {name} is out of use. Its versions are disabled, not destroyed.")
        out.say(f"Later: ./sluice secrets rotate {name} --stack {stack} --finish")
    out.result(_told(walk, waiting))


def _walked(walk: Walk, value: str, *, force: bool) -> Waiting | None:
    if not walk.runs:
        walk.begin(value)
    return walk.go_on(value, force=force)


def _question(walk: Walk, name: str, stack: str, *, finish: bool, force: bool) -> str:
    if finish:
        return f"Destroy the old versions of {name} in {stack} for good?"
    verb = "Go on with the rotation of" if walk.runs else "Rotate"
    return f"{verb} {name} in {stack}" + (", and let the old key go now, whatever it has signed?" if force else "?")


def _read(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"{source} cannot be read: {error}", fix="name the file with the new value, or -") from error


def _told(walk: Walk, waiting: Waiting | None) -> dict[str, Any]:
    kept = walk.rotation
    found = kept.as_json() if kept is not None else {}
    return {**found, "waits": None if waiting is None else {"seconds": round(waiting.seconds), "why": waiting.why}}


def _row(here: Place, secret: spec.Secret, system: spec.System) -> dict[str, Any]:
    rotation, _ = Book(here).read(secret.name)
    versions = Values(here, secret.name).versions()
    return {
        "name": secret.name,
        "rotation": str(secret.rotation),
        "pinned": specs.config_of(here.stack).secret_version(secret.name),
        "enabled": [str(one.number) for one in versions if one.enabled],
        "readers": [service.name for service in system.consumers(secret.name)],
        "stands": stands(rotation),
    }


def stands(rotation: Rotation | None) -> str:
    """Where a rotation is: over, or begun, and what it waits for or does next."""
    if rotation is None:
        return "never"
    if rotation.destroyed:
        return f"done {rotation.destroyed[:10]}"
    if rotation.over:
        return f"old versions disabled {rotation.disabled[:10]}, not destroyed"
    begun = f"begun {rotation.began[:10]}"
    if rotation.left == rotation.steps[-1:] and len(rotation.steps) > 1 and (retires := rotation.retires()):
        return f"{begun}: both values are in use; rotate, run again from {text(retires)[:16]} on, takes the old one out"
    following = {
        Step.ACCEPTING: "all readers get to know the new key",
        Step.SIGNING: "the new key begins to sign",
        Step.BOTH: "all readers get to know both values",
        Step.ALONE: "the new value is put in place of the old one",
    }
    what = following[rotation.left[0]] if rotation.left else "the old versions are disabled"
    return f"{begun}, not finished; next, when rotate is run again: {what}"
