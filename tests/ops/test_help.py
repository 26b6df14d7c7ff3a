"""What a newcomer reads first: each group's list of verbs, and the options that all of them share."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from ops import app

GROUPS = ("rollout", "queues", "dead", "secrets", "wallet")


def verbs(group: str) -> dict[str, Any]:
    """The verbs of a group, as they are registered."""
    found: Any = typer.main.get_command(app.build())
    return dict(found.commands[group].commands)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_verbs_in_lines_that_are_not_cut(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([group, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].strip().splitlines()
    assert [line.split()[0] for line in listed] == list(verbs(group))
    assert [line for line in listed if line.endswith("...")] == []


def test_the_list_of_all_verbs_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].strip().splitlines()
    assert len(listed) > 20
    assert [line for line in listed if line.endswith("...")] == []


def test_an_option_that_many_verbs_have_is_said_in_the_same_words_and_takes_something_with_a_name() -> None:
    said: dict[str, set[str]] = {
        name: set() for name in ("--stack", "--yes", "--confirm", "--dry-run", "--json", "--why")
    }
    nameless: list[str] = []
    for group in GROUPS:
        for verb, command in verbs(group).items():
            for one in command.params:
                if one.opts[0] in said:
                    said[one.opts[0]].add(one.help)
                if one.metavar is None and not getattr(one, "is_flag", False):
                    nameless.append(f"{group} {verb} {one.opts[0]}")
    assert {name: len(words) for name, words in said.items()} == dict.fromkeys(said, 1)
    assert nameless == []
    assert not re.search(r"\bNone\b", str(said))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--help"], ["Exit status: 0, done.", "130, Ctrl-C", "90s, 10m, 24h, 2d"]),
        (["drift", "--help"], ["Exit 1 where something differs, 2 where"]),
        (["reconcile", "--help"], ["Exit 1 where something differs or is stuck, 2 where"]),
        (["rollout", "start", "--help"], ["Exit 0 where it is promoted or aborted in the end, 1 where"]),
        (["rollout", "status", "--help"], ["exit 4 where nobody looks", "Exit 3 where"]),
    ],
    ids=lambda value: value[0] if value[0].startswith("-") else " ".join(value[:-1]),
)
def test_what_an_exit_status_means_stands_in_the_help(
    words: list[str], says: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert [one for one in says if one not in shown] == []


def test_a_time_a_rate_and_a_number_are_named_as_such_in_every_verb() -> None:
    """Who knows how one verb takes 10m, 5/s or 50 knows it of all."""
    named: dict[str, set[str]] = {"--older-than": set(), "--dwell": set(), "--every": set(), "--rate": set()}
    found: Any = typer.main.get_command(app.build())
    commands = [command for group in GROUPS for command in verbs(group).values()]
    commands += [found.commands[verb] for verb in ("drain", "reconcile", "resend", "rollback")]
    for command in commands:
        for one in command.params:
            if one.opts[0] in named:
                named[one.opts[0]].add(one.metavar)
    assert named == {"--older-than": {"TIME"}, "--dwell": {"TIME"}, "--every": {"TIME"}, "--rate": {"N/s"}}
