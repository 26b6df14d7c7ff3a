"""What each component declares in dev, staging and prod: partial goldens (plan_goldens.py), one file a component."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.plan_goldens import (
    COMMAND,
    ENVS,
    FOLDER,
    GATHERING,
    components,
    expected,
    golden,
    missing,
    resources,
)

GOLDENS = sorted(FOLDER.glob("*.yaml"))


def test_every_component_of_a_stack_has_its_golden() -> None:
    declared = {component for env in ENVS for component in components(env)}
    assert declared == {path.stem for path in GOLDENS}, f"write them: {COMMAND}"


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_a_component_declares_what_its_golden_says(path: Path) -> None:
    said = golden(path)
    for env in ENVS:
        found, wanted = resources(env, said["component"], said["name"]), expected(said, env)
        gone, new = wanted.keys() - found.keys(), found.keys() - wanted.keys()
        new = set() if said["component"] in GATHERING else new
        wrong = [f"{one} is gone" for one in sorted(gone)] + [f"{one} is new" for one in sorted(new)]
        wrong += [
            text for one in sorted(wanted.keys() & found.keys()) for text in missing(wanted[one], found[one], one)
        ]
        assert not wrong, "\n".join([f"{path.name}, {env}:", *wrong, f"If that is meant: {COMMAND}"])
