"""What chance may do in a run: nothing in the suite, which plays the same cases each time; all it can in `make proofs`.

A landing must not hang on luck, and a failure must be there again for whoever looks at it. So the suite's seeds are
fixed, and Hypothesis derives its examples from the test (derandomize). The proofs of each night (SLUICE_WHOLE=1) draw
fresh ones and say which; SLUICE_SEED gives one of them again.
"""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, settings

from tests.dose import WHOLE


def seed() -> int:
    """The seed of a long test, which names it where it fails."""
    given = os.environ.get("SLUICE_SEED")
    return int(given) if given else random.SystemRandom().randrange(10**6) if WHOLE else 1


def settle() -> None:
    """Settle what Hypothesis does. A machine under load is no failure: it has no deadlines, and may draw slowly."""
    patient = [HealthCheck.too_slow]
    settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=patient)
    settings.register_profile("fresh", derandomize=False, deadline=None, suppress_health_check=patient, print_blob=True)
    settings.load_profile("fresh" if WHOLE else "same")
