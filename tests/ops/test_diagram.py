"""The drawing: everything that the specs name is in it, nothing lies over another thing, and its pages are true."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spec
from ops.app import main
from ops.diagram import drawing, layout, mermaid, queues, svg
from ops.home import ROOT

SYSTEM = spec.load(ROOT)
NAMES = st.sampled_from([f"n{number}" for number in range(12)])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(NAMES, st.tuples(st.floats(10, 200), st.floats(10, 60)), min_size=1),
    st.lists(st.tuples(NAMES, NAMES), max_size=30),
)
def test_whatever_the_arrows_nothing_lies_over_another_thing(
    sizes: dict[str, tuple[float, float]], arrows: list[tuple[str, str]]
) -> None:
    known = [(tail, head) for tail, head in arrows if tail in sizes and head in sizes]
    placed = layout.place(sizes, known)
    assert placed.nodes.keys() == sizes.keys()
    for one, other in combinations(sizes, 2):
        (x, y), (u, v) = placed.nodes[one], placed.nodes[other]
        wide, high = (sizes[one][0] + sizes[other][0]) / 2, (sizes[one][1] + sizes[other][1]) / 2
        assert abs(x - u) >= wide - 0.01 or abs(y - v) >= high - 0.01
    for (x, y), (width, height) in ((placed.nodes[name], sizes[name]) for name in sizes):
        assert -0.01 <= x - width / 2 <= x + width / 2 <= placed.width + 0.01
        assert -0.01 <= y - height / 2 <= y + height / 2 <= placed.height + 0.01
    for tail, head in known:
        if tail != head:
            way = placed.arrows[tail, head]
            assert (way[0], way[-1]) == (placed.nodes[tail], placed.nodes[head])


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30))
def test_arrows_without_a_circle_all_lead_to_the_right(pairs: list[tuple[int, int]]) -> None:
    arrows = [(f"n{min(pair)}", f"n{max(pair)}") for pair in pairs if pair[0] != pair[1]]
    placed = layout.place({f"n{number}": (50.0, 20.0) for number in range(12)}, arrows)
    assert all(placed.nodes[tail][0] < placed.nodes[head][0] for tail, head in arrows)


def test_the_drawing_names_everything_and_says_what_each_queue_does() -> None:
    found = ElementTree.fromstring(svg.render(drawing.draw(SYSTEM)))
    texts = {"".join(element.itertext()) for element in found.iter() if element.tag.endswith("text")}
    assert {*SYSTEM.services, *SYSTEM.queues, *SYSTEM.topics} <= texts
    titles = [element.text or "" for element in found.iter() if element.tag.endswith("title")]
    assert "split-payment-queue to gcsplit" in titles
    assert any("Given up when both are reached" in title for title in titles)


def test_permissions_are_drawn_with_their_roles() -> None:
    picture = drawing.draw(SYSTEM, with_permissions=True)
    roles = {(one.tail, one.head): one.role for one in picture.arrows}
    assert roles["gcwebhook", "split-payment-queue"] == "sluiceTaskCreator"
    assert roles["split-payment-queue", "gcsplit"] == "run.invoker"
    assert roles["paynow-events", "paynowworker"] == "run.invoker"
    assert roles["HOST_WALLET_PRIVATE_KEY", "gchostpay"] == "secretmanager.secretAccessor"
    assert ("HOST_WALLET_PRIVATE_KEY", "gcsplit") not in roles
    assert roles["sluice-operator", "gcsplit"] == "run.invoker"
    assert all(roles.values())
    ElementTree.fromstring(svg.render(picture))
    assert mermaid.whole(picture).count("-->|") == len(picture.arrows)


def test_the_page_of_queues_is_what_the_specs_say() -> None:
    assert (ROOT / "docs/queues.md").read_text() == queues.page(SYSTEM), "run: ./sluice diagram --queues docs/queues.md"


def test_a_drawing_is_written_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "system.svg"
    assert main(["diagram", "--format", "svg", "--to", str(target), "--json"]) == 0
    edges = json.loads(capsys.readouterr().out)["edges"]
    assert {"from": "gcsplit", "to": "hostpay-execution-queue", "role": None} in edges
    assert target.read_text().startswith("<svg")
    assert main(["diagram"]) == 0
    assert capsys.readouterr().out == mermaid.flow(SYSTEM)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--write", "{missing}"), "cannot be read"),
        (("--write", "{plain}"), "has no marks"),
        (("--to", "{folder}"), "Is a directory"),
    ],
)
def test_a_file_that_cannot_take_it_is_refused(
    words: tuple[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.md"
    plain.write_text("# Nothing\n")
    filled = [word.format(missing=tmp_path / "none.md", plain=plain, folder=tmp_path) for word in words]
    assert main(["diagram", *filled]) == 2
    assert said in capsys.readouterr().err
    assert plain.read_text() == "# Nothing\n"
