"""A payer on a chain that misbehaves: whatever goes wrong, nothing is paid twice, and each payment ends.

A small dose of what `python -m bench chain_faults` plays by the thousand; that also plays one case alone by its seed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service_code.chain_cases import DEEPEST, THEMES, crowd, make
from tests.service_code.chain_ground import LEAN, Ground, ground
from tests.service_code.chain_runner import play
from tests.service_code.servers import NoAnvilError, anvil_chain


@pytest.fixture
async def field(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ground]:
    monkeypatch.setattr("service_code.kit.chain.FEES_LIVE", 0.0)
    try:
        with anvil_chain(tmp_path, *LEAN) as chain:
            async with ground(database, chain) as field:
                yield field
    except NoAnvilError as error:
        pytest.skip(str(error))


def test_a_seed_makes_one_case_and_seeds_have_every_theme() -> None:
    cases = [make(seed) for seed in range(200)]
    assert cases == [make(seed) for seed in range(200)]
    assert {case.theme for case in cases} == set(THEMES)
    depths = {step.count for seed in range(1000) for step in make(seed).steps if step.do == "reorg"}
    assert depths == set(range(1, DEEPEST + 1))


async def test_whatever_the_chain_does_each_payment_is_paid_once_or_recorded_as_failed(field: Ground) -> None:
    cases = [make(seed) for seed in range(len(THEMES))]
    await field.prepare(cases)
    found = {case.seed: await play(field, case) for case in cases}
    assert {seed: complaints for seed, complaints in found.items() if complaints} == {}


async def test_a_crowd_of_payouts_leaves_no_gap_though_payers_die_and_the_node_drops_and_delays(field: Ground) -> None:
    case = crowd(1, size=16, storms=3)
    await field.prepare([case])
    assert await play(field, case) == []
