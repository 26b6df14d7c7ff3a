"""`python -m bench`: a run that finds a promise broken fails, with its figures all the same."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any

import pytest

import bench
from bench import chain_faults, simulation
from bench.__main__ import PROOFS, main
from bench._measure import NotKeptError
from tests.service_code.chain_cases import make
from tests.service_code.simulation.play import Played


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every benchmark says at once that it ran; `nonces` finds its promise broken."""
    names: list[str] = []

    def module(path: str) -> Any:
        name = path.removeprefix("bench.")

        class Bench:
            @staticmethod
            def run(_say: Any) -> dict[str, Any]:
                names.append(name)
                if name == "nonces":
                    raise NotKeptError("a nonce is missing", {"missing": 3})
                return {}

        return Bench

    monkeypatch.setattr(importlib, "import_module", module)
    return names


def test_a_broken_promise_fails_the_run_after_the_others_and_its_figures_are_printed(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nonces", "mixed"]) == 1
    out, err = capsys.readouterr()
    assert ran == ["nonces", "mixed"]
    assert json.loads(out[out.index("{") :])["nonces"] == {"missing": 3}
    assert err == "NOT KEPT  nonces: a nonce is missing\n"


def test_figures_and_proofs_are_run_apart_and_are_all_there_is(ran: list[str]) -> None:
    every = {module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")}
    assert main([]) == 0
    figures = set(ran)
    ran.clear()
    assert main(["proofs"]) == 1
    assert tuple(ran) == PROOFS
    assert figures == every - set(PROOFS)


def test_a_case_with_complaints_fails_chain_faults() -> None:
    record = chain_faults.Record(bad={7: ["paid twice"]}, seconds=[1.0])
    with pytest.raises(NotKeptError, match=r"seeds \[7\]") as caught:
        chain_faults.kept([make(7)], record, {})
    assert caught.value.figures["complaints"] == {7: ["paid twice"]}


def test_a_run_after_which_something_is_wrong_fails_the_simulation() -> None:
    played = Played(seed=7, payments=1, seconds=1.0)
    assert simulation.kept([played])["runs"] == 1
    played.wrong.append("paid twice")
    with pytest.raises(NotKeptError, match=r"seeds: \[7\]"):
        simulation.kept([played])
