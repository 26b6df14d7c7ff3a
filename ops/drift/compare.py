"""Compares what a stack declares with what a project has: properties, resources, members of policies, secret versions.

Owns the comparison alone; it is given what was looked at. The reading of each type is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from local_engine.estate import Estate, Thing, named
from local_engine.model import Change
from local_engine.policy_part import PolicyPart, condition
from local_engine.resources import registry
from local_engine.survey import Sight, Survey
from ops.adopt.entries import NOUNS
from ops.drift import places
from ops.drift.found import NOTHING, Finding, Found, shown
from spec.adopted import MEMBERS, PROJECT
from spec.people import is_agent, is_nobody

_QUEUE, _SERVICE = "gcp:cloudtasks/queue:Queue", "gcp:cloudrunv2/service:Service"
_CHANNEL: Final = "gcp:monitoring/notificationChannel:NotificationChannel"
#: What a change of the state at the cloud's end is called, by type.
_STATES: Final = {_QUEUE: "paused", "gcp:cloudscheduler/job:Job": "paused"}
#: Cloud Tasks keeps the name of a queue that was deleted.
_KEPT_NAME: Final = (
    "; where it was deleted within 7 days, that is refused (existed too recently): wait until they are over, or give "
    "its file in queue_configs/tasks/ another name and move its senders' tasks there; on a local cloud, "
    "./sluice clock advance 8d"
)
_COMMANDS: Final[Mapping[str, str]] = {
    "queue": "gcloud tasks queues delete {name} --location={location}",
    "service": "gcloud run services delete {name} --region={location}",
    "job": "gcloud run jobs delete {name} --region={location}",
    "schedule": "gcloud scheduler jobs delete {name} --location={location}",
    "topic": "gcloud pubsub topics delete {name}",
    "subscription": "gcloud pubsub subscriptions delete {name}",
    "secret": "gcloud secrets delete {name}",
    "account": "gcloud iam service-accounts delete {name}",
    "role": "gcloud iam roles delete {name} --project={project}",
    "metric": "gcloud logging metrics delete {name}",
    "alert": "gcloud alpha monitoring policies delete {identity}",
    "channel": "gcloud beta monitoring channels delete {identity}",
    "dashboard": "gcloud monitoring dashboards delete {identity}",
}
_UNBIND: Final[Mapping[str, str]] = {
    "queue": "gcloud tasks queues remove-iam-policy-binding {name} --location={location}",
    "service": "gcloud run services remove-iam-policy-binding {name} --region={location}",
    "job": "gcloud run jobs remove-iam-policy-binding {name} --region={location}",
    "topic": "gcloud pubsub topics remove-iam-policy-binding {name}",
    "subscription": "gcloud pubsub subscriptions remove-iam-policy-binding {name}",
    "secret": "gcloud secrets remove-iam-policy-binding {name}",
    "account": "gcloud iam service-accounts remove-iam-policy-binding {name}",
    "project": "gcloud projects remove-iam-policy-binding {project}",
}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is compared."""

    stack: str
    project: str
    surveys: Sequence[Survey]
    estate: Estate
    #: Secret -> its versions, as `name` and `state`.
    versions: Mapping[str, Sequence[Mapping[str, Any]]]
    #: The project's number, by which Google's own accounts are known.
    number: str = ""
    #: Who may hold which roles by hand.
    people: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Channels that were made by hand and are named by their ids.
    channels: frozenset[str] = frozenset()
    #: Account -> its keys that somebody may hold.
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: The command that brings the cloud to what the specs say.
    apply: str

    @property
    def sights(self) -> Iterator[tuple[Sight, Survey]]:
        """Every declared resource, layer by layer."""
        return ((sight, survey) for survey in self.surveys for sight in survey.sights.values())


def compare(given: Given) -> Found:
    """All that differs."""
    found = Found(not_looked=list(given.estate.unseen))
    for sight, survey in given.sights:
        place = places.where(sight.goal, survey.seen, given.stack)
        if sight.unseen:
            found.not_looked.append(f"{_named(sight)}: {sight.unseen}")
        elif sight.missing:
            found.findings.append(_missing(sight, place, given))
        else:
            found.findings += [_changed(sight, change, place, given) for change in _told(sight)]
    found.findings += _undeclared(given)
    found.findings += _members(given)
    found.findings += _keys(given)
    found.findings += _versions(given)
    return found


def _missing(sight: Sight, place: str, given: Given) -> Finding:
    fix = given.apply + (_KEPT_NAME if sight.goal.type == _QUEUE else "")
    return Finding(
        kind="missing",
        thing=_named(sight),
        what="is not there",
        where=place,
        specs="declared",
        cloud="nothing",
        fix=fix,
    )


def _told(sight: Sight) -> Iterator[Change]:
    """A resource's changes; a list of named things is told name by name."""
    for change in sight.changes:
        old, new = _by_name(change.old), _by_name(change.new)
        if old is None or new is None:
            yield change
            continue
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                path = f"{change.path}[{name}]"
                yield replace(change, path=path, old=old.get(name, NOTHING), new=new.get(name, NOTHING))


def _by_name(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) and one.get("name") for one in value):
        return None
    return {str(one["name"]): one for one in value}


def _changed(sight: Sight, change: Change, place: str, given: Given) -> Finding:
    kind, fix, name = "changed", given.apply, change.path
    if change.path == "state" and sight.goal.type in _STATES:
        kind = _STATES[sight.goal.type]
        if sight.goal.type == _QUEUE and change.old == "PAUSED":
            queue = sight.identity.rpartition("/")[2]
            fix = f"./sluice queues resume {queue} --stack {given.stack}"
    elif change.path in ("state", "enabled", "disabled"):
        kind = "disabled"
    elif sight.goal.type == _SERVICE and change.path.startswith("traffic"):
        kind = "traffic"
    elif line := places.line(change.path, change.old):
        fix += f"; or, if the cloud is right, write in the spec: {line}"
    if "env[" in change.path:
        name = _variable(sight, change.path)
    return Finding(
        kind=kind,
        thing=_named(sight),
        what=name,
        where=place,
        specs=shown(change.new, name),
        cloud=shown(change.old, name),
        fix=fix,
    )


def _variable(sight: Sight, path: str) -> str:
    """A variable by its name, where the path has its number."""
    value: Any = sight.live
    for part in path.split("."):
        key, _, index = part.partition("[")
        value = value.get(key) if isinstance(value, Mapping) else None
        number = index.removesuffix("]")
        if number.isdigit() and isinstance(value, list) and int(number) < len(value):
            value = value[int(number)]
            if key == "env" and isinstance(value, Mapping):
                return path.replace(f"env[{number}]", f"env[{value.get('name')}]")
    return path


def _undeclared(given: Given) -> Iterator[Finding]:
    declared = {(sight.goal.type, sight.identity) for sight, _ in given.sights}
    declared |= {(_CHANNEL, name) for name in given.channels}
    for thing in given.estate.things:
        if (thing.type, thing.identity) not in declared:
            noun = NOUNS[thing.type]
            delete = _filled(_COMMANDS[noun], thing)
            yield Finding(
                kind="undeclared",
                thing=f"{noun} {thing.name}",
                what="is declared nowhere",
                where="nowhere",
                specs="nothing",
                cloud=thing.identity,
                fix=f"declare it, or take it over (./sluice adopt), or, if nobody needs it: {delete}",
            )


def _members(given: Given) -> Iterator[Finding]:
    declared = _declared_members(given)
    mine = {(sight.goal.type, sight.identity) for sight, _ in given.sights if not sight.missing}
    for thing in given.estate.things:
        if thing.type in MEMBERS and (thing.type, thing.identity) in mine:
            for binding in thing.bindings:
                yield from _undeclared_members(thing, binding, binding["members"], declared, given)
    project = Thing(type=PROJECT, identity=given.project, live={}, inputs={"project": given.project})
    for binding in given.estate.bindings:
        judged = [one for one in binding["members"] if not is_agent(one, given.number)]
        yield from _undeclared_members(project, binding, judged, declared, given)


_Member = tuple[str, str, str, tuple[str, str, str]]


def _declared_members(given: Given) -> set[_Member]:
    """Policy, role, member and condition of every declared member."""
    found: set[_Member] = set()
    for sight, _ in given.sights:
        kind = registry().get(sight.goal.type)
        if isinstance(kind, PolicyPart) and "role" in sight.inputs:
            place = f"{kind.endpoint} {kind.path(sight.inputs)}"
            for member in sight.inputs.get("members") or [sight.inputs.get("member")]:
                found.add((place, sight.inputs["role"], str(member), condition(sight.inputs.get("condition"))))
    return found


def _undeclared_members(
    thing: Thing, binding: Mapping[str, Any], members: Sequence[str], declared: set[_Member], given: Given
) -> Iterator[Finding]:
    kind = registry()[MEMBERS[thing.type].type]
    assert isinstance(kind, PolicyPart)
    place = f"{kind.endpoint} {kind.path(MEMBERS[thing.type].place(thing.inputs))}"
    noun = NOUNS[thing.type]
    for member in members:
        by_hand = binding["role"] in given.people.get(member, ()) or is_nobody(member)
        if by_hand or (place, binding["role"], member, condition(binding.get("condition"))) in declared:
            continue
        command = f"{_filled(_UNBIND[noun], thing)} --member={member} --role={binding['role']}"
        if binding.get("condition"):
            command += " --all"
        if not member.startswith("all"):
            command += "; or, if it is meant, list the member with the role and the reason in sluice:people"
        yield Finding(
            kind="member",
            thing=f"{noun} {thing.name}",
            what=f"{member} has {binding['role']}",
            where="nowhere",
            specs="nothing",
            cloud=f"{member} has {binding['role']}",
            fix=command,
        )


def _keys(given: Given) -> Iterator[Finding]:
    for account, keys in sorted(given.keys.items()):
        for key in keys:
            yield Finding(
                kind="key",
                thing=f"account {account.partition('@')[0]}",
                what=f"has the key {key}",
                where="nowhere",
                specs="nobody holds a key: services run as their accounts, and pipelines come by workload identity",
                cloud=f"whoever has the key {key} is {account}",
                fix=f"gcloud iam service-accounts keys delete {key} --iam-account={account}",
            )


def _versions(given: Given) -> Iterator[Finding]:
    for (secret, version), (service, place) in sorted(_pinned(given).items()):
        if secret not in given.versions:
            continue
        states = {str(one["name"]).rpartition("/")[2]: str(one.get("state")) for one in given.versions[secret]}
        state = states.get(version, "missing")
        newer = max((int(number) for number, how in states.items() if how == "ENABLED" and number.isdigit()), default=0)
        named = {"thing": f"secret {secret}", "where": place, "specs": f"{service} reads version {version}"}
        if state != "ENABLED":
            fix = f"gcloud secrets versions enable {version} --secret={secret}; or pin another: sluice:secretVersions"
            yield Finding(
                **named, kind="version", what=f"version {version}", cloud=f"the version is {state.lower()}", fix=fix
            )
        if newer > int(version):
            fix = f"write in stacks/Pulumi.{given.stack}.yaml: sluice:secretVersions: {{{secret}: {newer}}}"
            yield Finding(**named, kind="version", what="a newer version", cloud=f"version {newer} is there", fix=fix)


def _pinned(given: Given) -> dict[tuple[str, str], tuple[str, str]]:
    """Secret and version -> a service that reads it, and its place."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for sight, survey in given.sights:
        if sight.goal.type != _SERVICE:
            continue
        for container in sight.inputs.get("template", {}).get("containers", ()):
            for variable in container.get("envs", ()):
                reference = variable.get("valueSource", {}).get("secretKeyRef", {})
                version = str(reference.get("version", ""))
                if version.isdigit():
                    key = (str(reference["secret"]).rpartition("/")[2], version)
                    place = places.where(sight.goal, survey.seen, given.stack)
                    found.setdefault(key, (str(sight.inputs["name"]), place))
    return found


def pinned_secrets(surveys: Sequence[Survey]) -> set[str]:
    """The secrets of which a service reads a certain version."""
    given = Given(stack="", project="", surveys=surveys, estate=Estate(), versions={}, apply="")
    return {secret for secret, _ in _pinned(given)}


def _filled(command: str, thing: Thing) -> str:
    place = thing.inputs.get("location") or thing.inputs.get("region") or ""
    name = thing.identity.rpartition("/")[2]
    return command.format(name=name, location=place, project=thing.inputs.get("project"), identity=thing.identity)


def _named(sight: Sight) -> str:
    noun = NOUNS.get(sight.goal.type, sight.goal.type.rpartition(":")[2])
    body = sight.live if sight.live is not None else sight.inputs
    return f"{noun} {named(sight.goal.type, sight.identity, body) or sight.goal.name}"
