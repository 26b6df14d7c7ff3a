"""100 payouts at once from one wallet, whose payers die, by a node that drops and delays: CASES (3) crowds of them.

Every crowd has 100 payouts of both ways on one wallet, two instances of each payer that are killed between sign, store,
broadcast and receipt while all of it is delivered at once, again and again, and a node that forgets transactions, keeps
them back or does not answer. Then it is healed and judged from the chain: each paid once, no nonce missing, the ledger
to the wei. SEED (0) names the first; figures are those of chain_faults.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench.chain_faults import played
from tests.service_code.chain_cases import crowd


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Play the crowds one after the other."""
    first, count = int(os.environ.get("SEED", "0")), int(os.environ.get("CASES", "3"))
    return played([crowd(seed) for seed in range(first, first + count)], say)
