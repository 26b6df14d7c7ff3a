"""The end of a promotion: the revision that was stable before loses its tag, and is kept warm no longer.

Config first, then the apply. Cut short between the two, Cloud Run still has the tag of which config says nothing any
more: that is known for what it is, and the command again brings the apply. Owns these two steps; when it may be is the
verb's.
"""

from __future__ import annotations

import shlex

import spec
from ops.errors import OpsError
from ops.output import Output
from ops.place import Place
from ops.rollout import apply, checkout, record, written
from ops.rollout.effects import ByHand
from ops.rollout.store import Objects


def kept(place: Place, service: str) -> str:
    """What is kept beside what is stable; "" where nothing is. Refused from a checkout that is not what is deployed."""
    return checkout.same_roles(place, service, half_finished=True).previous


def finish(place: Place, system: spec.System, out: Output, service: str, previous: str) -> None:
    """Under the lock, with the place as it is now: let go of it."""
    checkout.same(place, system)
    if (now := kept(place, service)) != previous:
        raise OpsError(
            f"{service} keeps {now or 'nothing'} by now, and not {previous}",
            why="somebody else has changed it meanwhile, and nothing was done",
            fix="./sluice rollout history shows what was rolled out",
        )
    entry = place.config.releases[service]
    left = {role: value for role in written.ROLES if (value := getattr(entry, role)) is not None}
    left = {role: value for role, value in left.items() if role not in ("previous", "keep_until")}
    apply.configure(place, written.Written(releases={service: left}))
    try:
        apply.apply(place, out, service)
    except ByHand as error:
        command = shlex.join(apply.pulumi(place.stack, service))
        raise ByHand(error.what, why=error.why, fix=f"run this where it is: {command}") from error
    record.release(Objects(place))  # a hold that a refresh of the state has kept comes back with the apply
