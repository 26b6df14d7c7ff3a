"""Releases, the kill switch and the rollout's steps: what cannot be meant is refused where it stands."""

from __future__ import annotations

import pytest

from spec import StackConfig, load
from spec.rollout import Release, Rollout, instant
from tests.spec.conftest import PROD, Project

RELEASES, SHARES, STEPS = "sluice:releases", "sluice:canaryPercent", "sluice:rollout"

#: What a line says -> its place, what is wrong, and how to mend it.
BROKEN = {
    "sluice:canaryPercent: {payuot: 5}": (
        f"{SHARES}.payuot",
        "no route and no service 'payuot'",
        "did you mean payout?",
    ),
    "sluice:stop: [gcsplt]": ("sluice:stop[0]", "no route and no service 'gcsplt'", "did you mean gcsplit"),
    "sluice:releases: {gcsplti: {stable: gcsplti-1}}": (
        f"{RELEASES}.gcsplti",
        "no service 'gcsplti'",
        "did you mean gcsplit?",
    ),
    "sluice:releases: {gcsplit: {stable: gchostpay-1}}": (
        f"{RELEASES}.gcsplit.stable",
        "gchostpay-1 is no revision of gcsplit",
        "gcsplit-0123456789",
    ),
    "sluice:releases: {gcsplit: {stabel: gcsplit-1}}": (f"{RELEASES}.gcsplit.stabel", "", "did you mean stable?"),
    "sluice:releases: {gcsplit: {canary: gcsplit-2}}": (
        f"{RELEASES}.gcsplit.canary",
        "canary without stable",
        "write stable:",
    ),
    "sluice:releases: {gcsplit: {stable: gcsplit-1, canary: gcsplit-1}}": (
        f"{RELEASES}.gcsplit.canary",
        "gcsplit-1 is canary and stable",
        "delete canary",
    ),
    "sluice:releases: {gcsplit: {stable: gcsplit-1, canary: gcsplit-2, rolled_back: gcsplit-2}}": (
        f"{RELEASES}.gcsplit.canary",
        "gcsplit-2 is canary and rolled_back",
        "write another revision",
    ),
    "sluice:releases: {gcsplit: {stable: gcsplit-1, previous: gcsplit-1}}": (
        f"{RELEASES}.gcsplit.previous",
        "gcsplit-1 is previous and stable",
        "delete previous",
    ),
    'sluice:releases: {gcsplit: {stable: gcsplit-1, keep_until: "2026-12-07T00:00:00Z"}}': (
        f"{RELEASES}.gcsplit.keep_until",
        "keep_until without previous",
        "write previous:",
    ),
    "sluice:releases: {gcsplit: {stable: gcsplit-1, previous: gcsplit-0, keep_until: tomorrow}}": (
        f"{RELEASES}.gcsplit.keep_until",
        "'tomorrow' is not a time",
        "2026-12-07T00:00:00Z",
    ),
    "sluice:releases: {gcsplit: {digest: latest}}": (f"{RELEASES}.gcsplit.digest", "latest", "sha256:"),
    "sluice:canaryPercent: {gcsplit: 10}": (
        f"{SHARES}.gcsplit",
        "a canary of gcsplit",
        "./sluice rollout start gcsplit",
    ),
    "sluice:rollout: {steps: [50, 25, 100]}": (f"{STEPS}.steps", "[50, 25, 100] is no way up to 100", "ascending"),
    "sluice:rollout: {steps: [10, 50]}": (f"{STEPS}.steps", "is no way up to 100", "end with 100"),
    "sluice:rollout: {steps: []}": (f"{STEPS}.steps", "is no way up to 100", "end with 100"),
    "sluice:rollout: {confidence: 100}": (f"{STEPS}.confidence", "", "from 50 to 99"),
    "sluice:rollout: {dwel: 1h}": (f"{STEPS}.dwel", "", "did you mean dwell?"),
}


@pytest.mark.parametrize("line", BROKEN)
def test_what_cannot_be_meant_is_refused_with_place_and_way_out(project: Project, line: str) -> None:
    project.replace(PROD, "config:", f"config:\n  {line}")

    found = project.only_error()

    key, what, fix = BROKEN[line]
    assert found.key == f"config.{key}"
    assert what in found.what
    assert fix in found.fix
    assert found.breaks
    assert str(found.where).startswith(f"{PROD}:")
    assert found.where.line > 1


def test_a_share_of_nothing_is_allowed_without_a_canary(project: Project) -> None:
    project.replace(PROD, "config:", "config:\n  sluice:canaryPercent: {gcsplit: 0}\n  sluice:stop: [gchostpay]")

    stack = load(project.root, "prod").stack
    assert stack is not None
    assert (stack.share("gcsplit"), stack.share("gchostpay"), stack.share("payout", 30)) == (0, 0, 30)


def test_the_image_that_is_tried_migrates_the_database_before_it() -> None:
    def of(**releases: Release) -> StackConfig:
        return StackConfig.model_construct(name="prod", image_digest="sha256:old", releases=releases)

    new = "sha256:" + "1" * 64
    tried, promoted = Release(stable="a-1", canary="a-2", digest=new), Release(stable="a-2", digest=new)
    assert (of(a=tried).migrating_digest, of(a=tried).digest_of("a"), of(a=tried).digest_of("b")) == (
        new,
        new,
        "sha256:old",
    )
    assert (of(a=promoted).migrating_digest, of(a=promoted).digest_of("a")) == ("sha256:old", new)


def test_a_time_is_written_as_it_is_read() -> None:
    release = Release.model_validate({"stable": "a-2", "previous": "a-1", "keep_until": "2026-12-07T00:00:00Z"})

    assert release.keep_until is not None
    assert instant(release.keep_until) == "2026-12-07T00:00:00Z"
    assert release.model_dump(mode="json", exclude_none=True)["keep_until"] == "2026-12-07T00:00:00Z"
    assert Rollout().steps == (10, 25, 50, 75, 90, 100)
