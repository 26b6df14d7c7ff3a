"""Why money that is gathered for a client is not due: below his threshold, or held up behind a batch that is not sent.

No door says it of one payment. So the batches that are not sent are read, and whose they are by their payments: a
client is a channel with its wallet, payout currency and network. Reads and never writes.
Source: docs/adr/threshold-payout.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ops.errors import CallFailed
from ops.place import Place
from ops.reconcile.helps import Helps
from ops.reconcile.payments import BATCHES, is_refused

#: Who orders batches, and how one stands that is not sent.
ORDERS, UNSENT = "gcbatchprocessor", ("assembled", "refused")
#: Batches, or clients whose threshold is met, that are looked at for one payment.
MOST = 50
BELOW = "nothing of it is due: it waits until what its client has gathered reaches the threshold"

Row = dict[str, Any]


def why(
    here: Place,
    helps: Helps,
    seen: Row,
    *,
    rows: Callable[[str], Iterable[Row]],
    look: Callable[[str], Row | None],
    refused: Callable[[Row], str],
) -> str:
    """What a payment waits for; `rows` asks gcsplit where what stands, `look` shows a payment whole."""
    client = _client(seen)
    try:
        batches = here.doors.call("GET", ORDERS, "/batches")["batches"]
    except CallFailed:
        return f"{BELOW}, unless a batch of his is refused: {helps.refused()}"
    mine = [one for one in batches if one["status"] in UNSENT and _may_be(one, client)]
    for batch in mine[:MOST]:
        for row in rows(f"older_than=0&unique_id={batch['batch_id']}"):
            members = row.get("payments") or []
            if row["unique_id"] != batch["batch_id"] or not members or _client(look(members[0]) or {}) != client:
                continue
            behind = f"it is held up behind batch {row['unique_id']} of the same client, which is paid first: "
            return behind + (refused(row) if is_refused(row) else BATCHES)
    for number, row in enumerate(rows("older_than=0&stage=batch_due")):
        if number < MOST and _client(look(row["unique_id"]) or {}) == client:
            return f"what its client has gathered has met the threshold, and no batch of it is assembled: {BATCHES}"
    return BELOW


def _client(seen: Row) -> tuple[Any, ...]:
    request, held = seen.get("request") or {}, seen.get("accumulation") or {}
    names = ("client_wallet", "payout_currency", "payout_network")
    return (held.get("client_id"), held.get("currency"), *(request.get(name) for name in names))


def _may_be(batch: Row, client: tuple[Any, ...]) -> bool:
    """Whether a batch may be the same client's, by what its list tells."""
    return (batch["client_id"], batch["currency"], batch["payout_currency"]) == (client[0], client[1], client[3])
