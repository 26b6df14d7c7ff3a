"""From an estate to verbatim entries: each resource as it stands, under a name of its own, with its import id.

Owns what is taken over and what is held back, and why. What cannot be said in full, or not without writing a secret
down, is held back: declared by half, the next apply would take the other half away.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from local_engine import resources
from local_engine.estate import Estate, Thing
from ops.adopt import repair, secrets
from spec.adopted import COMPONENT_NAME, COMPONENT_TYPE, PROJECT, Adopted
from spec.people import is_agent, is_nobody

#: How the kinds begin the names of their files.
NOUNS: Final[Mapping[str, str]] = {
    "gcp:serviceaccount/account:Account": "account",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "role",
    "gcp:secretmanager/secret:Secret": "secret",
    "gcp:cloudtasks/queue:Queue": "queue",
    "gcp:pubsub/topic:Topic": "topic",
    "gcp:pubsub/subscription:Subscription": "subscription",
    "gcp:cloudrunv2/service:Service": "service",
    "gcp:cloudrunv2/job:Job": "job",
    "gcp:cloudscheduler/job:Job": "schedule",
    "gcp:logging/metric:Metric": "metric",
    "gcp:monitoring/notificationChannel:NotificationChannel": "channel",
    "gcp:monitoring/alertPolicy:AlertPolicy": "alert",
    "gcp:monitoring/dashboard:Dashboard": "dashboard",
    PROJECT: "project",
}
_LONGEST: Final = 120


@dataclass(frozen=True, kw_only=True)
class HeldBack:
    """Something that is left as it is, outside of the stack."""

    what: str
    why: str
    fix: str
    identity: str


@dataclass(kw_only=True)
class Taken:
    """What is taken over, by the name of its file."""

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Entry -> the resource's id as the provider's import wants it.
    ids: dict[str, str] = field(default_factory=dict)
    held: list[HeldBack] = field(default_factory=list)
    #: Members of the project that are Google's own or deleted.
    left_alone: int = 0
    #: Everybody else on the project, with the roles: people, groups, accounts of other projects.
    people: dict[str, list[str]] = field(default_factory=dict)


def taken(estate: Estate, project: str, number: str = "") -> Taken:
    """Everything of an estate that can be declared as it stands."""
    found = Taken()
    for thing in estate.things:
        reason = _held(thing)
        if reason:
            found.held.append(reason)
            continue
        name = _free(f"{NOUNS[thing.type]}.{_slug(thing.name)}", thing.identity, found.entries)
        found.entries[name] = _entry(thing.type, thing.inputs, _bindings(thing.bindings, found))
        found.ids[name] = resources.registry()[thing.type].import_id(thing.inputs, thing.identity)
    ours = _ours(estate, found, number)
    if ours:
        found.entries[f"project.{project}"] = _entry(PROJECT, {"project": project}, ours)
    return found


def import_file(taken: Taken, specs: Sequence[Adopted]) -> dict[str, Any]:
    """What ``pulumi import --file`` reads: the component, and each resource with its id, all its children."""
    rows: list[dict[str, Any]] = [{"type": COMPONENT_TYPE, "name": COMPONENT_NAME, "component": True}]
    for spec in specs:
        if spec.stem in taken.ids:
            rows.append(_row(spec.type, spec.stem, spec.resource, taken.ids[spec.stem]))
        for token, name, properties in spec.members():
            kind = resources.registry()[token]
            rows.append(_row(token, name, name, kind.import_id(properties, kind.identity(properties))))
    return {"resources": rows}


def ids_of(file: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The import file as the engine takes it."""
    rows = [row for row in file["resources"] if not row.get("component")]
    return {(row["type"], row.get("logicalName", row["name"])): row["id"] for row in rows}


def _row(token: str, name: str, logical: str, identity: str) -> dict[str, Any]:
    named = {"type": token, "name": name} | ({"logicalName": logical} if logical != name else {})
    return named | {"id": identity, "parent": COMPONENT_NAME}


def _held(thing: Thing) -> HeldBack | None:
    what = f"{NOUNS[thing.type]} {thing.name}"
    plain = [*secrets.in_plain(thing.inputs), *secrets.in_plain(list(thing.bindings), "bindings")]
    if plain:
        return HeldBack(
            what=what,
            why=f"a secret stands in plain text in {', '.join(plain)}, and an import would write it into the state",
            fix=repair.commands(thing, plain),
            identity=thing.identity,
        )
    if thing.unmodelled:
        why = f"it has {', '.join(thing.unmodelled)}, which cannot be declared here: an apply would take that away"
        fix = "take it away by hand if nobody needs it, or leave the thing as it is"
        return HeldBack(what=what, why=why, fix=fix, identity=thing.identity)
    return None


def _entry(token: str, properties: Mapping[str, Any], bindings: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": token, "properties": dict(properties)}
    return made | ({"bindings": bindings} if bindings else {})


def _bindings(given: Sequence[Mapping[str, Any]], found: Taken) -> list[dict[str, Any]]:
    """A policy's bindings in an order of their own; members that were deleted are nobody."""
    made = []
    for binding in sorted(given, key=lambda one: (one["role"], str(one.get("condition", "")))):
        members = sorted(set(binding.get("members", ())))
        gone = [member for member in members if is_nobody(member)]
        found.left_alone += len(gone)
        kept = [member for member in members if member not in gone]
        if kept:
            condition = {key: value for key, value in (binding.get("condition") or {}).items() if value}
            made.append({"role": binding["role"], "members": kept} | ({"condition": condition} if condition else {}))
    return made


def _ours(estate: Estate, found: Taken, number: str) -> list[dict[str, Any]]:
    """The project's bindings of accounts that the project has; who else was let in is listed, not declared."""
    emails = {f"serviceAccount:{thing.identity.rpartition('/')[2]}" for thing in estate.of(next(iter(NOUNS)))}
    kept = []
    for binding in estate.bindings:
        mine = [member for member in binding.get("members", ()) if member in emails]
        for member in set(binding.get("members", ())) - set(mine):
            if is_nobody(member) or is_agent(member, number):
                found.left_alone += 1
            elif not member.startswith("all"):
                found.people.setdefault(member, []).append(binding["role"])
        kept += [{**binding, "members": mine}] if mine else []
    return _bindings(kept, found)


def _slug(name: str) -> str:
    """The name as a file may bear it: letters, digits and . _ - stay."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("%2F", "-")).strip("-.") or "unnamed"
    return made[:_LONGEST]


def _free(name: str, identity: str, taken_names: Mapping[str, Any]) -> str:
    """The name, or, where one differs from it by nothing but case, the name with digits of the identity's hash."""
    lowered = {other.lower() for other in taken_names}
    return name if name.lower() not in lowered else f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"


def walk(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Adopted]:
    """The entries as the specs' model reads them."""
    for name, entry in entries.items():
        yield Adopted.model_validate({**entry, "name": f"any/{name}"})
