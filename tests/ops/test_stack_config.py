"""Stack config is changed in the lines that are meant, and nowhere else; the local stack's in its home."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import specs, stack_config, yaml_edit
from ops.home import ROOT, Home
from ops.output import Output
from ops.stack_config import ConfigNotChanged
from ops.verbs import status
from spec.source import parse
from spec.stack import StackConfig

PROD = """\
# yaml-language-server: $schema=../queue_configs/schema/stack.json
# The digest is the release.
config:
  gcp:project: sluice-prod          # the id
  gcp:region: 'us-central1'
  sluice:projectNumber: "100000000003"
  sluice:protect:   true
  sluice:canaryPercent:    # shares
    payout: 10   # so far

    # the newest
    estimate: 5
  sluice:releases:
    gcsplit: {stable: gcsplit-1, canary: gcsplit-2}   # tried
  sluice:stop: [estimate]
# the end
"""
FAST = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.prod.yaml").write_text(PROD)
    return tmp_path


def prod(root: Path) -> str:
    return (root / "stacks/Pulumi.prod.yaml").read_text()


def values(text: str) -> dict[str, Any]:
    source = parse(text, Path("x.yaml"), [])
    assert source is not None, text
    return source.values


def test_a_share_is_changed_in_its_line_alone(root: Path) -> None:
    assert stack_config.change("prod", {"sluice:canaryPercent": {"payout": 25}}, root=root)

    assert prod(root) == PROD.replace("payout: 10 ", "payout: 25 ")


def test_new_keys_stand_where_their_kin_do(root: Path) -> None:
    stack_config.change(
        "prod",
        {
            "sluice:canaryPercent": {"gcsplit": 10},
            "sluice:releases": {"gcsplit": {"keep_until": "2026-12-07T00:00:00Z", "previous": "gcsplit-0"}},
            "sluice:stop": ["payout", "gcsplit"],
            "sluice:rollout": {"steps": [50, 100], "dwell": "1h"},
        },
        root=root,
    )

    wanted = PROD.replace("    estimate: 5\n", "    estimate: 5\n    gcsplit: 10\n")
    more = ', keep_until: "2026-12-07T00:00:00Z", previous: gcsplit-0}'
    wanted = wanted.replace("gcsplit-2}", f"gcsplit-2{more}").replace("[estimate]\n", "[payout, gcsplit]\n")
    assert prod(root) == wanted.replace(
        "# the end", '  sluice:rollout:\n    steps: [50, 100]\n    dwell: "1h"\n# the end'
    )


def test_what_is_removed_goes_with_mappings_that_are_empty_then(root: Path) -> None:
    stack_config.change(
        "prod", {}, ["sluice:canaryPercent/estimate", "sluice:releases/gcsplit", "sluice:secretVersions/X"], root=root
    )

    kept = [line for line in PROD.splitlines() if not re.search("estimate: 5|releases|gcsplit", line)]
    assert prod(root).splitlines() == kept


def test_nothing_is_written_where_all_is_as_wanted(root: Path) -> None:
    path = root / "stacks/Pulumi.prod.yaml"
    path.chmod(0o640)
    os.utime(path, (1, 1))

    assert not stack_config.change("prod", {"sluice:canaryPercent": {"payout": 10}}, ["sluice:edge"], root=root)
    assert path.stat().st_mtime == 1
    assert stack_config.change("prod", {"sluice:canaryPercent": {"payout": 0}}, root=root)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_dry_run_shows_the_lines_that_would_change(root: Path) -> None:
    draft = stack_config.draft("prod", {"sluice:canaryPercent": {"payout": 25}}, root=root)

    changed = [line for line in draft.diff.splitlines() if re.match(r"[-+](?![-+])", line)]
    assert changed == ["-    payout: 10   # so far", "+    payout: 25   # so far"]
    assert prod(root) == PROD


def test_a_file_that_changed_meanwhile_is_left_to_the_other(root: Path) -> None:
    draft = stack_config.draft("prod", {"sluice:canaryPercent": {"payout": 25}}, root=root)
    (root / "stacks/Pulumi.prod.yaml").write_text(PROD + "# mine\n")

    with pytest.raises(ConfigNotChanged, match="changed by somebody else"):
        draft.write()
    assert prod(root) == PROD + "# mine\n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sluice:canaryPercent": {"payout": 101}}, "payout"),
        ({"sluice:releases": {"gcsplit": {"stable": None}}}, "canary without stable"),
        ({"sluice:rollout": {"steps": [50]}}, "no way up to 100"),
    ],
)
def test_what_the_program_would_refuse_is_not_written(root: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigNotChanged, match=said):
        stack_config.change("prod", changes, root=root)
    assert prod(root) == PROD


@pytest.mark.parametrize(
    "text", ["config: [\n", "config: *here\n", "- config\n", "a: 1\n", "config:\n  ? gcp:project\n"]
)
def test_a_file_that_is_no_config_is_left_alone(root: Path, text: str) -> None:
    (root / "stacks/Pulumi.prod.yaml").write_text(text)

    with pytest.raises(ConfigNotChanged, match=r"Pulumi\.prod\.yaml"):
        stack_config.change("prod", {"sluice:canaryPercent": {"payout": 1}}, root=root)
    assert prod(root) == text


def test_line_ends_marks_and_a_missing_newline_stay_as_they_are(root: Path) -> None:
    path = root / "stacks/Pulumi.prod.yaml"
    odd = "\ufeff" + PROD.removesuffix("# the end\n").rstrip("\n").replace("\n", "\r\n")
    path.write_bytes(odd.encode())

    stack_config.change(
        "prod", {"sluice:protect": False, "sluice:releases": {"gcapi": {"stable": "gcapi-1"}}}, root=root
    )

    added = "\r\n    gcapi: {stable: gcapi-1}"
    wanted = odd.replace("  true", "  false").replace("  # tried", f"  # tried{added}")
    assert path.read_bytes().decode() == wanted


NAMES = st.sampled_from(["payout", "estimate", "gcsplit", "paynow", "a-b"])
SCALARS = st.one_of(
    st.integers(-5, 200),
    st.booleans(),
    st.text("ab-_:# '\"{}[],\\é~1.", max_size=8),
    st.sampled_from(["null", "yes", "1:30", "2026-12-07T00:00:00Z", "sha256:" + "0" * 4, "- x", "a: b"]),
)
INNER = st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), min_size=1, max_size=3)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(NAMES, SCALARS | INNER, min_size=1, max_size=3)
)
KEYS = st.sampled_from(["gcp:project", "sluice:stop", "sluice:releases", "sluice:canaryPercent", "sluice:x"])
CONFIGS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=5)


def lines(
    entries: dict[str, Any], at: tuple[str, ...], indent: str, draw: Any
) -> Iterator[tuple[tuple[str, ...], str]]:
    """A mapping as somebody may have written it, each line with what it is about."""
    for key, value in entries.items():
        here = (*at, key)
        comment = draw(st.sampled_from(["", "   # why", "  #"]))
        if draw(st.booleans()):
            yield (), draw(st.sampled_from(["", f"{indent}# about {key}", "# at the margin", "   "]))
        if isinstance(value, dict) and draw(st.booleans()):
            yield here, f"{indent}{key}:{comment}"
            yield from lines(value, here, indent + draw(st.sampled_from([" ", "  ", "    "])), draw)
        elif isinstance(value, list) and value and draw(st.booleans()):
            yield here, f"{indent}{key}:{comment}"
            dash = indent + draw(st.sampled_from(["", "  "])) + "- "
            for one in value:
                yield (*here, "[]"), dash + json.dumps(one, ensure_ascii=False)
        else:
            yield here, f"{indent}{key}:  {json.dumps(value, ensure_ascii=False)}{comment}"


@FAST
@given(CONFIGS, CONFIGS, st.lists(st.lists(KEYS | NAMES, min_size=1, max_size=3).map(tuple), max_size=2), st.data())
def test_whatever_the_file_it_says_the_old_and_the_change_and_other_lines_stay(
    before: dict[str, Any], changes: dict[str, Any], remove: list[tuple[str, ...]], data: st.DataObject
) -> None:
    written = [
        ((), "# head"),
        (("config",), "config:"),
        *lines(before, ("config",), "  ", data.draw),
        ((), "# the end"),
    ]
    text = "\n".join(line for _, line in written) + "\n"
    old = values(text)
    gone = [("config", *path) for path in remove]

    after = yaml_edit.edited(text, {"config": changes}, gone)

    wanted = yaml_edit.wanted(old, {"config": changes}, gone)
    assert yaml_edit.same(values(after) if wanted else {}, wanted), f"{text}\n->\n{after}"
    touched = [tuple(path) for path, _ in yaml_edit._steps(old, {"config": changes})] + gone
    left = iter(after.split("\n"))
    for about, line in written:
        if about and not any(meets(about, path) for path in touched):
            assert line in left, f"{line!r} of\n{text}\nis not in its place in\n{after}"


def meets(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one is the other, in it or around it."""
    return all(a == b for a, b in zip(one, other, strict=False))


@FAST
@given(INNER, st.sampled_from(["x: {}", "x:  {}  # none", "x:\n", "x: {a: 1}", "x: {a: [1, {b: 2}], }"]))
def test_braces_take_entries_too(inner: dict[str, Any], line: str) -> None:
    text = f"config:\n  {line}\n  y: 1\n"

    after = yaml_edit.edited(text, {"config": {"x": inner}})

    assert yaml_edit.same(values(after), yaml_edit.wanted(values(text), {"config": {"x": inner}}))
    assert after.endswith("  y: 1\n")


class TestOverlay:
    """The local stack's file is everybody's: what this machine changes stands in its home."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
        monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
        return Home(tmp_path)

    def config(self) -> StackConfig:
        found = specs.load("local").stack
        assert found is not None
        assert found == specs.config_of("local")
        return found

    def test_it_is_laid_over_the_file_and_taken_away(self, home: Home) -> None:
        there = (ROOT / "stacks/Pulumi.local.yaml").read_bytes()
        before = self.config()

        assert stack_config.change("local", {"sluice:canaryPercent": {"gcsplit": 10, "payout": 60}})
        stack_config.change("local", {"sluice:releases": {"gcsplit": {"stable": "gcsplit-1", "canary": "gcsplit-2"}}})

        after = self.config()
        assert after.canary_percent == {**before.canary_percent, "gcsplit": 10, "payout": 60}
        assert after.releases["gcsplit"].canary == "gcsplit-2"
        assert stack_config.overlay(home) == {
            "sluice:canaryPercent": {"payout": 60, "gcsplit": 10},
            "sluice:releases": {"gcsplit": {"stable": "gcsplit-1", "canary": "gcsplit-2"}},
        }
        assert stack_config.overlay_of("local") == home.path / "stack.yaml"
        assert stack_config.overlay_of("foundation-local") is None
        assert home.foreign() == []
        stack_config.change("local", {}, ["sluice:releases/gcsplit", "sluice:canaryPercent"])
        stack_config.change("local", {"sluice:canaryPercent": before.canary_percent})
        assert self.config() == before
        assert (ROOT / "stacks/Pulumi.local.yaml").read_bytes() == there

    def test_it_goes_when_nothing_is_left_in_it(self, home: Home) -> None:
        stack_config.change("local", {"sluice:stop": ["payout"]})
        assert self.config().share("payout") == 0

        stack_config.change("local", {}, ["sluice:stop"])

        assert stack_config.overlay_of("local") is None
        assert stack_config.overlay(home) == {}

    def test_what_the_file_says_can_be_taken_away(self, home: Home) -> None:
        stack_config.change("local", {}, ["sluice:canaryPercent/payout"])

        assert self.config().canary_percent == {}
        assert stack_config.overlay(home) == {"sluice:canaryPercent": {}}

    def test_a_refusal_says_which_of_the_two_files_is_wrong(self, home: Home) -> None:
        (home.path / "stack.yaml").write_text("config:\n  sluice:canaryPercent: {payuot: 5}\n")

        with pytest.raises(specs.SpecsRefused, match=re.escape(f"{home.path}/stack.yaml:2:34: error: ")):
            specs.load("local")


def test_each_value_for_which_the_overlay_wins_is_named_with_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    assert (stack_config.otherwise(), stack_config.said_in("sluice:stop")) == ([], "stacks/Pulumi.local.yaml")
    stack_config.change("local", {"sluice:canaryPercent": {"payout": 7}, "sluice:stop": ["payout"]})
    found = [one.as_json() for one in stack_config.otherwise()]
    assert found == [
        {"key": "sluice:canaryPercent/payout", "overlay": 7, "file": 50},
        {"key": "sluice:stop", "overlay": ["payout"], "file": None},
    ]
    assert stack_config.said_in("sluice:stop") == str(tmp_path / "stack.yaml")
    parts: dict[str, Any] = {key: {} for key in ("services", "queues", "instances", "processes")}
    names = dict.fromkeys(("stack", "project", "location", "rest", "grpc", "sandbox"), "x")
    status.show(Output(as_json=False), {**parts, **names, "home": str(tmp_path), "overlay": found, "rollout": None})
    said = capsys.readouterr().out
    assert "sluice:canaryPercent/payout: 7, in the file 50" in said
    assert 'sluice:stop: ["payout"], in the file nothing' in said
