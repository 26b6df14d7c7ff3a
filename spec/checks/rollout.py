"""Shares, the kill switch and releases name what there is, and fit one another."""

from __future__ import annotations

from collections.abc import Iterator

from spec import names
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity, choose
from spec.rollout import RELEASES, SHARES, STOP
from spec.stack import FOUNDATION_PREFIX, StackConfig

#: Keys that only the layer of the services reads.
ABOVE = ("canary_percent", "stop", "releases", "rollout")

#: Roles of revisions in a release.
ROLES = ("stable", "canary", "rolled_back", "previous")


@rule("SL125")
def what_is_shared_out_exists(draft: Draft) -> Iterator[Finding]:
    """A stack sets shares of such routes and services as there are, stops such, and has releases of such services."""
    services = draft.declared["service"]
    both = draft.declared["route"] | services
    for stack in draft.stacks.values():
        given: list[tuple[str, int | str, str]] = [(SHARES, name, name) for name in stack.canary_percent]
        given += [(STOP, index, name) for index, name in enumerate(stack.stop)]
        for key, place, name in given:
            if name not in both:
                meant = "the share that was meant would stay as it is"
                meant = meant if key == SHARES else "what was to be stopped would go on"
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", key, place),
                    what=f"there is no route and no service {name!r}",
                    breaks=meant,
                    fix=choose(name, both, noun="route or service"),
                )
        for name in stack.releases:
            if name not in services:
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", RELEASES, name),
                    what=f"there is no service {name!r}",
                    breaks="the release that was meant would take all payments at once",
                    fix=choose(name, services, noun="service"),
                )


@rule("SL126")
def no_route_is_called_as_a_service(draft: Draft) -> Iterator[Finding]:
    """A route has another name than every service: both stand in one map of shares."""
    for name in draft.system.routes:
        if draft.is_declared("service", name):
            yield draft.error(
                *("routes", "routes"),
                *("routes", name),
                what=f"a service is called {name} too",
                breaks=f"nobody would know whether {SHARES} means the route or the service's release",
                fix=f"rename the route, here and in chooses: of its service: {name}-way",
            )


@rule("SL926")
def revisions_are_their_services(draft: Draft) -> Iterator[Finding]:
    """What a release names is a revision of its service."""
    for stack in draft.stacks.values():
        for service, release in stack.releases.items():
            for role in ROLES:
                revision = getattr(release, role)
                if revision is not None and not names.is_revision_of(revision, service):
                    yield draft.error(
                        "stack",
                        stack.name,
                        *("config", RELEASES, service, role),
                        what=f"{revision} is no revision of {service}",
                        breaks="Cloud Run refuses the service: its traffic names what it does not have",
                        fix=f"write a name such as {service}-0123456789; `./sluice rollout status` lists them",
                    )


@rule("SL927")
def a_share_is_that_of_a_canary(draft: Draft) -> Iterator[Finding]:
    """A service has a share only while a revision of it is tried."""
    for stack in draft.stacks.values():
        for name, percent in stack.canary_percent.items():
            release = stack.releases.get(name)
            if not percent or name in draft.declared["route"] or not draft.is_declared("service", name):
                continue
            if release is None or release.canary is None:
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", SHARES, name),
                    what=f"{percent} % of the payments are for a canary of {name}, and none is named",
                    breaks="the stable revision would take them all, whatever is written here",
                    fix=f"delete the line, or start a release: ./sluice rollout start {name} --stack {stack.name}",
                )


@rule("SL928", Severity.WARNING)
def a_digest_of_its_own_is_another(draft: Draft) -> Iterator[Finding]:
    """A service names an image of its own only where it is another than all services run."""
    for stack in draft.stacks.values():
        for name, release in stack.releases.items():
            if release.digest is not None and release.digest == stack.image_digest:
                yield draft.warning(
                    "stack",
                    stack.name,
                    *("config", RELEASES, name, "digest"),
                    what="this is sluice:imageDigest already",
                    breaks=f"the next image of all services would pass {name} by, for a reason that is over",
                    fix="delete the key",
                )


@rule("SL932")
def releases_stand_above_the_foundation(draft: Draft) -> Iterator[Finding]:
    """What only the services' layer reads of releases stands in no foundation."""
    for stack in draft.stacks.values():
        for name in ABOVE if stack.is_foundation else ():
            if name in stack.model_fields_set:
                key = str(StackConfig.model_fields[name].alias)
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", key),
                    what=f"{key} is not read by the foundation",
                    breaks="it would be ignored here, and what the stack above says would stay in force",
                    fix=f"move it to stacks/Pulumi.{stack.name.removeprefix(FOUNDATION_PREFIX)}.yaml",
                )


RULES: tuple[Rule, ...] = (
    what_is_shared_out_exists,
    no_route_is_called_as_a_service,
    revisions_are_their_services,
    a_share_is_that_of_a_canary,
    a_digest_of_its_own_is_another,
    releases_stand_above_the_foundation,
)
