"""Tags are roles: what is tried, rolled back or kept is reached by them, and the base URL is stable's."""

from __future__ import annotations

import pytest

from components.traffic import Target, TemplateChangedError, check, targets
from spec.rollout import Release

S, T, R = "pay-1", "pay-2", "pay-0"


def said(release: Release | None, template: str = T, percent: int = 10, *, split: bool = False) -> list[str]:
    found = targets(template, release, percent, split=split)
    assert sum(one.percent or 0 for one in found) == 100
    assert all(one.percent != 0 for one in found), "Cloud Run answers without a share of 0, so none is written"
    return [f"{one.tag} {one.revision} {one.percent or ''}".strip() for one in found]


def test_a_service_without_a_release_runs_its_newest_revision_alone() -> None:
    assert said(None) == [f"stable {T} 100", f"canary {T}"]
    assert said(Release(digest="sha256:" + "0" * 64)) == [f"stable {T} 100", f"canary {T}"]


def test_a_new_template_beside_a_stable_revision_gets_nothing() -> None:
    assert said(Release(stable=S)) == [f"stable {S} 100", f"canary {S}"]


def test_what_is_tried_is_reached_by_its_tag_and_the_base_url_stays_stables() -> None:
    assert said(Release(stable=S, canary=T)) == [f"stable {S} 100", f"canary {T}"]


@pytest.mark.parametrize(
    ("percent", "shares"), [(0, (100, None)), (1, (99, 1)), (10, (90, 10)), (99, (1, 99)), (100, (None, 100))]
)
def test_a_door_whose_callers_cannot_choose_is_split(percent: int, shares: tuple[int | None, int | None]) -> None:
    found = targets(T, Release(stable=S, canary=T), percent, split=True)

    assert found == [
        Target(revision=S, tag="stable", percent=shares[0]),
        Target(revision=T, tag="canary", percent=shares[1]),
    ]


def test_work_that_is_queued_for_what_was_rolled_back_follows_the_tag_to_stable() -> None:
    assert said(Release(stable=S, rolled_back=T), split=True) == [f"stable {S} 100", f"canary {S}"]


def test_what_was_stable_before_keeps_a_tag() -> None:
    assert said(Release(stable=T, previous=S)) == [f"stable {T} 100", f"canary {T}", f"previous {S}"]
    tried = Release(stable=S, canary=T, previous=R)
    assert said(tried, split=True) == [f"stable {S} 90", f"canary {T} 10", f"previous {R}"]


def test_a_change_of_template_during_a_rollout_names_both_revisions_and_the_way_out() -> None:
    tried = Release(stable=S, canary=T)
    for template in (S, T):
        check("pay", template, tried, "prod")
    check("pay", "pay-3", Release(stable=S), "prod")
    check("pay", "pay-3", None, "prod")

    with pytest.raises(TemplateChangedError) as refused:
        check("pay", "pay-3", tried, "prod")

    said = str(refused.value)
    assert f"{T} is tried beside {S}" in said
    assert "would be deployed is pay-3" in said
    assert "./sluice rollout abort --stack prod" in said
