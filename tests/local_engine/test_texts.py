"""What a preview shows of long values: what differs, within the width that is asked for."""

from __future__ import annotations

import json

import pytest

from local_engine import Change, Result, render
from local_engine.texts import changed, differing, folded, lines, shortened

DIGESTS = ["us-central1-docker.pkg.dev/p/sluice/services@sha256:" + mark * 64 for mark in "ab"]
BOARD = {"displayName": "Rollout", "widgets": [{"title": f"chart {n}", "text": "x" * 60} for n in range(8)]}


def board(**other: str) -> str:
    return json.dumps({**BOARD, "widgets": [{**BOARD["widgets"][0], **other}, *BOARD["widgets"][1:]]})  # type: ignore[dict-item]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_of_two_long_values_the_difference_is_seen_at_any_width(width: int) -> None:
    change = Change(path="template.containers[0].image", kind="update", old=DIGESTS[0], new=DIGESTS[1])
    found = list(changed(change, width))
    assert all(len(line) <= width for line in found)
    assert "sha256:aaaaaaa" in " ".join(found)
    assert "sha256:bbbbbbb" in " ".join(found)


def test_of_a_document_only_its_properties_that_differ_are_shown() -> None:
    change = Change(path="dashboardJson", kind="update", old=board(), new=board(title="other"))
    assert list(changed(change, 80)) == [
        f"      ~ dashboardJson: a document of {len(board(title='other'))} characters",
        '          ~ widgets[0].title: "chart 0" => "other"',
    ]


def test_a_new_document_is_its_beginning_and_its_size() -> None:
    (line,) = lines("+", "dashboardJson", board(), 80)
    assert line.startswith('      + dashboardJson: {"displayName": "Rollout"')
    assert line.endswith(f"({len(board())} characters)")
    assert len(line) == 80


def test_without_a_width_everything_is_there() -> None:
    (line,) = lines("+", "dashboardJson", board(), None)
    assert json.loads(json.loads(line.partition(": ")[2])) == json.loads(board())
    change = Change(path="image", kind="update", old=DIGESTS[0], new=DIGESTS[1], replaces=True)
    assert list(changed(change, None)) == [f'      ~ image: "{DIGESTS[0]}" => "{DIGESTS[1]}"  (forces replacement)']


def test_a_property_that_leaves_no_room_has_its_value_below() -> None:
    path = "conditions[0].conditionThreshold.aggregations[0].crossSeriesReducer"
    assert list(lines("+", path, "REDUCE_MEAN", 80)) == [f"      + {path}:", '          "REDUCE_MEAN"']


def test_outputs_that_are_as_they_were_saved_are_not_said_again() -> None:
    outputs = {"services": {"a": "https://a", "b": "https://b"}, "revisions": {"a": "a-1"}}
    result = Result(stack="s", mode="preview", compared_with="the saved state", outputs=outputs)
    result.saved_outputs = {"services": {"a": "https://a"}, "revisions": {"a": "a-1"}}
    shown = render(result, width=80)
    assert '+ services.b: "https://b"' in shown
    assert "a-1" not in shown
    assert "a-1" in render(result, width=80, all_resources=True)
    assert json.dumps(outputs["services"]) in render(result)


def test_of_a_stack_without_outputs_none_are_said() -> None:
    result = Result(stack="s", mode="preview", compared_with="the plan of HEAD~1", outputs={})
    for width in (None, 80):
        assert "outputs" not in render(result, width=width)


def test_what_is_cut_says_how_much_there_is() -> None:
    assert shortened("x" * 2000, 40) == "x" * 20 + "\u2026 (2,000 characters)"
    assert differing("same", "other", 40) == ("same", "other")
    assert list(folded("error: " + "word " * 20, 40, 4))[1].startswith("    word")
    assert list(folded("x" * 100, 40, 4)) == ["x" * 100]
