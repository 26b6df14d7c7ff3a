"""What is made or let in by hand and said in a stack's config, and the keys of accounts, which nothing may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from local_engine.cloud import Cloud
from local_engine.errors import CloudError
from local_engine.estate import Estate
from local_engine.model import Goal
from local_engine.survey import OUTSIDE
from ops.output import counted
from spec.stack import StackConfig

_ACCOUNT = "gcp:serviceaccount/account:Account"


def people(stacks: Iterable[StackConfig]) -> dict[str, frozenset[str]]:
    """Member -> the roles that it may hold by hand, as the layers of an environment say."""
    found: dict[str, frozenset[str]] = {}
    for stack in stacks:
        for member, held in stack.people.items():
            found[member] = found.get(member, frozenset()) | {*held.roles}
    return found


def channels(stacks: Iterable[StackConfig]) -> frozenset[str]:
    """The channels that were made by hand, since they hold a token, and are named by their ids."""
    addresses = (address for stack in stacks for address in stack.watching.channels.values())
    return frozenset(address.id for address in addresses if address.id)


def keys(cloud: Cloud, estate: Estate) -> dict[str, Sequence[str]]:
    """Account -> the ids of the keys that somebody may hold; Google's own keys of an account are nobody's."""
    found: dict[str, Sequence[str]] = {}
    for account in estate.of(_ACCOUNT):
        email = account.identity.rpartition("/")[2]
        try:
            listed = cloud.get("iamBeta", f"{account.identity}/keys", {"keyTypes": "USER_MANAGED"}).get("keys", ())
        except CloudError as error:
            estate.unseen.append(f"the keys of {email}: {error}")
            continue
        if listed:
            found[email] = [str(key["name"]).rpartition("/")[2] for key in listed]
    return found


def left_out(goals: Sequence[Goal]) -> list[str]:
    """What was not looked at on purpose, and why: what stands outside one by one, types that nobody reads once."""
    outside = [goal for goal in goals if goal.type in OUTSIDE]
    unread = Counter(_named(goal) for goal in goals if goal.type not in OUTSIDE)
    told = [f"{_named(goal)} {goal.name}: {OUTSIDE[goal.type]}" for goal in outside]
    if unread:
        kinds = ", ".join(sorted(unread))
        what = f"{counted(unread.total(), 'resource')} of types that are previewed here and never read ({kinds})"
        told.append(f"{what}: `pulumi preview --refresh` looks at them")
    return told


def _named(goal: Goal) -> str:
    return goal.type.rpartition(":")[2]
