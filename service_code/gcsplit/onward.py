"""What becomes of a payment by itself that stands still, and when, for `sluice reconcile`. Pure: it reads a row.

The times are those of the sweepers: gcsplit's own (`sweep`, `rules`), gcwebhook's, which puts splits and grants anew,
and gcmicrobatchprocessor's, which converts what the converter's queue gave up.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from service_code.gcsplit.rules import GRACE, SPLIT_WINDOW, Rules
from service_code.kit.stations import STAGES

#: gcmicrobatchprocessor takes a conversion that its queue has given up: the queue's day, and an hour.
CONVERTED_TOGETHER = timedelta(hours=25)
#: gcwebhook's sweeper gives a grant up, with an alert.
GRANT_GIVEN_UP = timedelta(hours=24)
REPLAY = "nothing was signed, it is dead and can be replayed"
#: Of a question for an estimate, or its answer: a split that is put anew finds it sent.
NOT_ASKED_AGAIN = "it is dead; gcwebhook puts its split anew, but nothing asks for the estimate once more"
GATHERED = "gcmicrobatchprocessor converts it with others"
SMALL = "too small alone, gcmicrobatchprocessor converts it with others once they are worth it"
ASKED_AGAIN = "gcmicrobatchprocessor asks the exchange again every 15 minutes"
#: What gcwebhook's sweeper puts anew, each hour at the latest, and when that ends.
ANEW: dict[str, tuple[str, timedelta | None]] = {
    "split": ("it is dead; until then gcwebhook puts it anew every hour", SPLIT_WINDOW),
    "gather": ("gcwebhook puts it anew every hour", None),
    "access": ("it is given up, with an alert; until then gcwebhook puts it anew every hour", GRANT_GIVEN_UP),
}


def onward(row: Any, rules: Rules) -> tuple[str, datetime | None]:
    """Say what happens by itself and when, of a row of `standing`; nothing where that is not a matter of time."""
    stage, since, code = row["stage"], row["since"], row["code"] or ""
    if stage in ("single", "staged"):
        return REPLAY, _unpaid(row, rules)
    if stage == "small":
        return SMALL, None
    if stage == "convert":
        return (GATHERED, since + CONVERTED_TOGETHER) if code == "pending" else (ASKED_AGAIN, None)
    what, span = ANEW.get(stage, ("", None))
    if stage == "split" and row["queue"] not in (None, *STAGES[stage][:1]):
        what = NOT_ASKED_AGAIN
    return what, since + span if span else None


def _unpaid(row: Any, rules: Rules) -> datetime:
    """When gcsplit's sweeper buries a payout that nobody has signed."""
    stage, policy = row["stage"], rules.tokens[row["stage"]]
    minted = row["minted_at"] or row["since"]
    passed: datetime = minted + rules.windows[stage] + GRACE
    held = row["withheld_at"] is not None and row["sent_at"] is None
    waits = stage == "single" and (held or policy.fallback)
    return max(passed, row["since"] + policy.give_up_after) if waits else passed
