"""Which versions of a repository its clean-up policies delete.

Pure: policies, versions and a moment in, names out. A version that any keep policy names stays, whatever else says.
Source: https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from local_cloud.descriptors import Message, enum
from local_cloud.errors import invalid

POLICY = "google.devtools.artifactregistry.v1.CleanupPolicy"
_ACTIONS = enum(f"{POLICY}.Action")
_STATES = enum(f"{POLICY}Condition.TagState")
DELETE, KEEP = _ACTIONS["DELETE"], _ACTIONS["KEEP"]
TAGGED, UNTAGGED = _STATES["TAGGED"], _STATES["UNTAGGED"]
#: A repository has at most so many.
MAX_POLICIES = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version as policies see it."""

    name: str
    package: str
    tags: tuple[str, ...]
    at: float

    @property
    def digest(self) -> str:
        """The version's own name."""
        return self.name.rpartition("/")[2]


def check(repository: Message) -> None:
    """Refuse policies that say nothing, or what only a keep policy can say."""
    if len(repository.cleanup_policies) > MAX_POLICIES:
        raise invalid(f"a repository can have at most {MAX_POLICIES} cleanup policies.")
    for key, policy in repository.cleanup_policies.items():
        where = f"cleanup policy '{key}'"
        kind = policy.WhichOneof("condition_type")
        if policy.id and policy.id != key:
            raise invalid(f"{where}: the policy's id '{policy.id}' must be the key under which it stands.")
        if policy.action not in (DELETE, KEEP):
            raise invalid(f"{where}: an action must be specified: DELETE or KEEP.")
        if kind is None:
            raise invalid(f"{where}: a condition or mostRecentVersions must be specified.")
        if kind == "most_recent_versions" and (policy.action != KEEP or policy.most_recent_versions.keep_count < 1):
            raise invalid(f"{where}: mostRecentVersions needs the action KEEP and a keepCount of at least 1.")
        if policy.condition.tag_prefixes and policy.condition.tag_state != TAGGED:
            raise invalid(f"{where}: tagPrefixes need the tagState TAGGED.")


def to_delete(policies: Iterable[Message], versions: list[Candidate], now: float) -> list[str]:
    """The names of the versions that go."""
    kept: set[str] = set()
    gone: dict[str, None] = {}
    for policy in policies:
        if policy.WhichOneof("condition_type") == "most_recent_versions":
            kept.update(_most_recent(policy.most_recent_versions, versions))
            continue
        for version in versions:
            if _fits(policy.condition, version, now):
                if policy.action == KEEP:
                    kept.add(version.name)
                else:
                    gone[version.name] = None
    return [name for name in gone if name not in kept]


def _most_recent(wanted: Message, versions: list[Candidate]) -> list[str]:
    found: dict[str, list[Candidate]] = {}
    for version in versions:
        if _begins(version.package, wanted.package_name_prefixes):
            found.setdefault(version.package, []).append(version)
    newest = (sorted(some, key=lambda one: one.at, reverse=True)[: wanted.keep_count] for some in found.values())
    return [one.name for some in newest for one in some]


def _fits(condition: Message, version: Candidate, now: float) -> bool:
    age, state = now - version.at, condition.tag_state
    return (
        not (state == TAGGED and not version.tags)
        and not (state == UNTAGGED and version.tags)
        and (not condition.tag_prefixes or any(_begins(tag, condition.tag_prefixes) for tag in version.tags))
        and _begins(version.digest, condition.version_name_prefixes)
        and _begins(version.package, condition.package_name_prefixes)
        and not (condition.HasField("older_than") and age <= condition.older_than.ToNanoseconds() / 1e9)
        and not (condition.HasField("newer_than") and age >= condition.newer_than.ToNanoseconds() / 1e9)
    )


def _begins(text: str, prefixes: Iterable[str]) -> bool:
    wanted = tuple(prefixes)
    return not wanted or text.startswith(wanted)
