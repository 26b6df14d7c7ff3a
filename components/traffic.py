"""Which revision of a service takes what: the targets of its traffic, by the roles that stack config gives.

Tags are roles, not revisions: ``stable`` takes what comes to the base URL, ``canary`` is where senders address work for
what is tried, and it leads to stable where nothing is; ``previous`` is the way back after a promotion. A door whose
callers cannot choose, for everybody or for Pub/Sub, is split by Cloud Run itself.

Sources: https://cloud.google.com/run/docs/reference/rest/v2/TrafficTarget and
https://cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration (one revision may have several tags).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from spec import names
from spec.rollout import ALL, RELEASES, Release


@dataclass(frozen=True, kw_only=True)
class Target:
    """One line of a service's traffic; without a share it is reached by its tag alone."""

    revision: str
    tag: str
    percent: int | None = None


class TemplateChangedError(pulumi.RunError):
    """What would be deployed is neither what is tried nor what is stable."""


def targets(template: str, release: Release | None, percent: int, *, split: bool) -> list[Target]:
    """Return the targets of a service whose newest revision is `template`.

    Of a `split` door the canary takes `percent` of the requests; elsewhere the senders choose, and the base URL is
    stable's alone.
    """
    stable = (release.stable if release else None) or template
    canary = (release.canary if release else None) or stable
    share = percent if split and canary != stable else 0
    found = [
        Target(revision=stable, tag=names.STABLE_TAG, percent=ALL - share or None),
        Target(revision=canary, tag=names.CANARY_TAG, percent=share or None),
    ]
    if release is not None and release.previous is not None:
        found.append(Target(revision=release.previous, tag=names.PREVIOUS_TAG))
    return found


def check(service: str, template: str, release: Release | None, stack: str) -> None:
    """Refuse a template that would be tried without a gate having seen it begin."""
    if release is None or release.canary is None or template in (release.canary, release.stable):
        return
    raise TemplateChangedError(
        f"{service}: a change of template during a rollout. {release.canary} is tried beside {release.stable}, and "
        f"what would be deployed is {template}: payments addressed to what is tried would meet it unseen. "
        f"Finish the rollout first, or end it: ./sluice rollout abort --stack {stack}. "
        f"Or deploy what is tried: its code, config and secret versions, with {RELEASES}.{service}.digest."
    )
