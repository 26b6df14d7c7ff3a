"""What becomes of payments whose waiting tasks are destroyed, by the message that the tasks carry.

Every message of a service with a database is a row of its outbox, so that a task is never a payment's only trace. But
a row that was sent is not sent again: what goes on is what a sweeper looks for. The sweepers are those of
docs/adr/{dead-payments,staged-payout,threshold-payout,estimate-queues,registrations}.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import spec

_SPLIT = "gcwebhook's sweeper puts each anew after 5 minutes, then at doubling intervals up to an hour, for 24 hours"
_STAGED = (
    "nobody makes these anew but `./sluice resend PAYMENT`: without it, and where nothing was signed, the payment is "
    "dead {window} after its last token, and `./sluice dead replay PAYMENT` pays it then; what was signed is the "
    "chain's to decide"
)
_NEWS = "these are news: sweepers ask the chain and the database for the same, so that no payment waits for them"
_DAY = (
    "`./sluice resend PAYMENT` asks once more; without it the payment is dead 24 hours after it was received, and "
    "`./sluice dead replay PAYMENT` splits it then"
)

#: Message -> what happens without its task.
BY_MESSAGE: Final[Mapping[str, str]] = {
    "SplitOrder": _SPLIT,
    "GrantAccess": _SPLIT,
    "Accumulate": "gcwebhook's sweeper puts each anew, every hour at the latest, until it is accumulated",
    "TriggerPayout": _STAGED,
    "CheckStatus": _STAGED,
    "StatusSeen": _STAGED,
    "ExecutePayout": _STAGED,
    "PayoutMined": _NEWS,
    "PayoutFailed": _NEWS,
    "ChainNews": _NEWS,
    "ConfirmPayout": _NEWS,
    "EstimateSplit": _DAY,
    "SplitEstimated": _DAY,
    "EstimateAndUpdate": "gcmicrobatchprocessor converts them together with others, 25 hours after they were received",
    "BatchDue": "gcbatchprocessor's sweeper finds every client whose threshold is met",
    "RegisterClient": "gcregister's sweeper processes what was registered",
}
#: Of a message that is not among them.
UNKNOWN = "no sweeper is known here that makes these anew"
#: What names the payments, whatever the message.
LOOK = "./sluice reconcile names what stands still, since when and what helps"


def of_queue(queue: spec.TaskQueue | None) -> str:
    """What becomes of what waits in this queue once its tasks are gone."""
    if queue is None:
        return UNKNOWN
    if queue.message == "HostPayOrder":
        if queue.token.fallback is not None:
            after = queue.token.give_up_after
            return (
                f"{queue.senders[0]} sends each anew on its schedule with a fresh token, for {after}; then it is dead"
            )
        return _STAGED.format(window=queue.lifetime)
    return BY_MESSAGE.get(queue.message, UNKNOWN).format(window=queue.lifetime)
