"""The stations of a payment on its way: the queues that its messages meet, in which order.

A message's place is its generation, and then its station. Time says less: a sweeper may put the first message anew
while a further one is lost, or before its handler is through. Source: queue_configs/tasks, seeds/001 section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The queues of each stage of gcsplit's `/reconcile/payments`, in the order in which a payment meets them.
STAGES = {
    "split": ["split-payment-queue", "gcsplit-estimate-queue", "gcsplit-estimate-response-queue"],
    "gather": ["gcaccumulator-queue"],
    "convert": ["gcsplit2-queue"],
    "single": ["hostpay-execution-queue"],
    "staged": [
        "gcsplit-hostpay-trigger-queue",
        "gchostpay-status-check-queue",
        "gchostpay-payment-execute-queue",
        "gchostpay3-retry-queue",
    ],
    "signed": ["hostpay-confirm-queue", "gchostpay3-confirm-queue"],
    "access": ["channel-access-queue"],
}
_PLACES = {queue: place for place, queue in enumerate(queue for queues in STAGES.values() for queue in queues)}


def is_further(row: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether a message is further on a payment's way than another; of one station, or of others, the younger is."""
    if row["queue"] != old["queue"] and row["queue"] in _PLACES and old["queue"] in _PLACES:
        return _place(row) > _place(old)
    return bool(row["created_at"] > old["created_at"])


def _place(row: Mapping[str, Any]) -> tuple[int, int]:
    return int(row["message"].get("generation", 0)), _PLACES[row["queue"]]
