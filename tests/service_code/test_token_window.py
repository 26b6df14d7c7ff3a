"""What each strategy for the 60-second token saves (seeds/000 section 9), and that none of them pays twice.

The table of docs/adr/token-window.md is this one: of four payments one comes a second before the payer goes down, and
three while it is down: at once, halfway, and as it comes back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service_code.conftest import Chain
from tests.service_code.judged import violations
from tests.service_code.window import A_DAY, DEFAULTS, TIGHT, Strategy, ends, line
from tests.service_code.world import World

ADR = Path(__file__).parents[2] / "docs" / "adr" / "token-window.md"
#: Outages in seconds.
OUTAGES = (5, 20, 61, 600)
ARRIVALS = (0.0, 0.5, 0.999)
#: Seconds after an outage: long enough for the sweeper's burial, or for a fallback or Google's long waits.
BURIAL, LONG = 200.0, 500.0
#: strategy -> (paid, dead, wasted attempts) of four payments, by outage.
SAVES: dict[str, tuple[Strategy, list[tuple[int, int, int]]]] = {
    "none": (Strategy(policy=DEFAULTS), [(4, 0, 12), (4, 0, 16), (3, 1, 21), (2, 2, 30)]),
    "1": (Strategy(policy=TIGHT), [(4, 0, 3), (3, 1, 6), (2, 2, 7), (2, 2, 7)]),
    "1, 2": (Strategy(), [(4, 0, 3), (4, 0, 6), (3, 1, 11), (2, 2, 13)]),
    "3": (Strategy(policy=A_DAY, at_delivery=True), [(4, 0, 3), (4, 0, 6), (4, 0, 8), (4, 0, 22)]),
    "1, 2, 4": (Strategy(fallback=True), [(4, 0, 3), (4, 0, 6), (4, 0, 11), (4, 0, 31)]),
    "1, 2, 5": (Strategy(breaker=True), [(4, 0, 2), (4, 0, 3), (3, 1, 6), (3, 1, 6)]),
    "1, 2, 4, 5": (Strategy(fallback=True, breaker=True), [(4, 0, 2), (4, 0, 3), (4, 0, 6), (4, 0, 6)]),
}


@pytest.fixture(autouse=True)
def patient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payer on a busy machine is slow, not ill."""
    monkeypatch.setattr("service_code.kit.app.HEALTH_TIMEOUT", 30.0)


@pytest.mark.parametrize("name", SAVES)
async def test_what_a_strategy_saves(world: World, chain: Chain, sql: Any, name: str) -> None:
    strategy, expected = SAVES[name]
    found, paid = [], 0
    async with line(world, strategy) as hop:
        for lasts in OUTAGES:
            hop.wasted = 0
            patience = LONG if strategy.fallback or strategy.policy is DEFAULTS else BURIAL
            came = await hop.outage(lasts, arrivals=ARRIVALS, patience=patience)
            became = await ends(sql, came)
            found.append((became["paid"], became["dead"], hop.wasted))
            paid += became["paid"]
    assert found == expected
    assert await chain.nonce(world.wallet.address) == paid
    assert await violations(world, sql) == []


async def test_the_table_of_the_documents_is_what_was_measured() -> None:
    rows = [line.split("|")[1:-1] for line in ADR.read_text().splitlines() if line.startswith("| **")]
    told = {row[0].strip(" *"): [tuple(map(int, cell.split("/"))) for cell in row[1:]] for row in rows}
    assert told == {name: figures for name, (_, figures) in SAVES.items()}
