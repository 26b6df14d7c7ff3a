"""One payment seen whole, for operators: its rows in every table, its hops with their times, its ledger postings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.settings import DIRECT

#: The payment, and the batch that it is paid with: what happens to that happens to it.
IDS = "ARRAY[$1, (SELECT batch_id FROM payout_accumulation WHERE unique_id = $1)]"
#: What is shown of each table; amounts as text, since JSON readers turn large numbers into doubles.
QUERIES = {
    "events": "SELECT event_key, source, payment_id, currency, amount::text, notice_at, received_at "
    "FROM webhook_events WHERE unique_id = $1 ORDER BY received_at",
    "request": "SELECT user_id, channel_id, subscription_days, currency, amount::text, client_wallet, payout_currency, "
    "payout_network, received_at, split_tries FROM split_payout_request WHERE unique_id = $1",
    "accumulation": "SELECT client_id, currency, accumulated_eth::text, conversion_status, conversion_attempts, "
    "last_conversion_attempt AS last_attempt_at, converted_at, accumulated_usdt::text, eth_to_usdt_rate::text, "
    "too_small, conversion_error, threshold_usdt::text, batch_id, created_at FROM payout_accumulation "
    "WHERE unique_id = $1",
    "batch": f"SELECT batch_id, amount::text, amount_usdt::text, members, status, error_code, error_message, "
    f"assembled_at, sent_at, closed_at FROM payout_batches WHERE batch_id = ANY({IDS})",
    "access": "SELECT queued_at, tries, granted_at, refused_at FROM channel_access WHERE unique_id = $1",
    "split": "SELECT generation, cn_api_id, from_currency, from_network, from_amount::text, platform_amount::text, "
    "client_percent, way, payin_address, to_currency, to_network, to_amount, payout_address, valid_until, "
    f"status, created_at, pending_since, closed_at FROM split_payout_que WHERE unique_id = ANY({IDS})",
    "stages": "SELECT generation, state, exchange_status, tx_hash, error_code, error_why, accepted_at, checked_at, "
    f"closed_at FROM hostpay_stages WHERE unique_id = ANY({IDS}) ORDER BY generation",
    "payouts": "SELECT generation, cn_api_id, from_currency, from_amount::text, payin_address, status, wallet, "
    "chain_id, nonce, tx_hash, tx_status, block_number, block_hash, confirmations, gas_used::text, gas_price::text, "
    "error_code, signed_at, broadcast_at, mined_at, final_at FROM split_payout_hostpay "
    f"WHERE unique_id = ANY({IDS}) ORDER BY id",
    "variants": "SELECT v.tx_hash, v.nonce, v.kind, v.value::text, v.gas_limit, v.max_fee::text, "
    "v.max_priority_fee::text, v.signed_at, v.broadcast_at, v.mined_block, v.receipt_status "
    f"FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce) WHERE n.unique_id = ANY({IDS}) "
    "ORDER BY v.signed_at",
    "news": "SELECT e.kind, c.tx_hash, c.said, c.block_number, c.asked, c.heard_at, e.created_at "
    f"FROM chain_news c JOIN chain_events e USING (event_id) WHERE c.unique_id = ANY({IDS}) ORDER BY c.heard_at",
    "outbox": "SELECT service, queue, way, created_at, attempts, sent_at, cancelled_at, last_error FROM outbox "
    f"WHERE unique_id = ANY({IDS}) ORDER BY created_at, id",
    "failed": "SELECT generation, stage, error_code, error_message, currency, amount::text, status, retryable, "
    "attempt_count, first_attempt_at, recovery_tx_hash, failed_at, closed_at FROM failed_transactions "
    f"WHERE unique_id = ANY({IDS}) ORDER BY generation",
    "dead_letters": "SELECT service, endpoint, code, why, attempt_number, created_at FROM dead_letters "
    f"WHERE unique_id = ANY({IDS}) ORDER BY id",
    "ledger": "SELECT p.entry_key, p.kind, p.reference, p.posted_at, json_agg(json_build_object('account', e.account, "
    "'currency', e.currency, 'amount', e.amount::text) ORDER BY e.amount DESC) AS lines "
    f"FROM ledger_postings p JOIN ledger_entries e USING (entry_key) WHERE p.unique_id = ANY({IDS}) "
    "GROUP BY p.entry_key ORDER BY p.posted_at, p.entry_key",
}
SINGLE = ("request", "accumulation", "batch", "access", "split")


#: All of it in one statement: an operator's command may ask for many payments many times.
WHOLE = "SELECT " + ", ".join(
    f"coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM ({sql}) AS t), '[]') AS {name}" for name, sql in QUERIES.items()
)


class View:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def payment(self, incoming: Incoming, call: Call) -> Reply:
        """GET /payments/{unique_id}."""
        unique_id = incoming.path["unique_id"]
        call.about(unique_id)
        row = await self._kit.db.row(WHOLE, unique_id)
        found: dict[str, list[dict[str, Any]]] = {
            name: [_plain(one) for one in row[name]] if row else [] for name in QUERIES
        }
        if not any(found[name] for name in ("request", "events", "dead_letters", "batch")):
            return Reply(404, {"error": "NOT_FOUND", "reason": "no payment of this id is recorded"})
        body: dict[str, Any] = {"unique_id": unique_id, "status": status_of(found), "hops": hops_of(found)}
        for name, rows in found.items():
            body[name] = (rows[0] if rows else None) if name in SINGLE else rows
        return Reply(200, body)


def status_of(found: dict[str, list[dict[str, Any]]]) -> str:
    """Say in one word where a payment stands: the chain's word goes before any other."""
    payout = next((row for row in reversed(found["payouts"]) if row["status"] != "failed"), None)
    if payout is not None:
        return "paid" if payout["status"] == "completed" else "paying"
    if any(row["status"] in ("dead", "investigating") for row in found["failed"]):
        return "dead"
    if any(row["status"] == "recovered" for row in found["failed"]):
        return "recovered"
    if found["split"] or found["batch"]:
        return str((found["split"] or found["batch"])[0]["status"])
    if found["request"]:
        return "accumulated" if found["accumulation"] else "received"
    return "recorded" if found["events"] else "refused"


def hops_of(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what happened to a payment, in the order of time."""
    hops: list[tuple[str | None, str, str | None]] = []
    for row in found["events"]:
        hop = "received" if row["source"] == "ipn" else "buyer came back"
        hops.append((row["received_at"], hop, row["event_key"]))
    for row in found["outbox"]:
        directly = row["way"] == DIRECT and row["attempts"] == 1
        said = ("handed on directly", f"instead of {row['queue']}") if directly else (f"queued on {row['queue']}", None)
        hops.append((row["sent_at"], *said))
    hops += [(row["granted_at"], "channel access granted", None) for row in found["access"]]
    for row in found["accumulation"]:
        hops.append((row["created_at"], "accumulated", f"{row['accumulated_eth']} base units of {row['currency']}"))
        hops.append((row["converted_at"], "converted", f"{row['accumulated_usdt']} base units of usdt"))
    for row in found["batch"]:
        hops.append((row["assembled_at"], "batch assembled", f"{row['members']} payments"))
        if row["status"] == "settled":
            hops.append((row["closed_at"], "settled", _settlement(found["ledger"])))
    ordered = "batch ordered" if found["batch"] else "split and exchange ordered"
    hops += [(row["created_at"], ordered, row["cn_api_id"]) for row in found["split"]]
    for row in found["stages"]:
        hops.append((row["accepted_at"], "staged payout accepted", f"generation {row['generation']}"))
        hops.append((row["checked_at"], "exchange order seen", row["exchange_status"]))
        hops.append((row["closed_at"], f"staged payout {row['state']}", row["error_code"]))
    for row in found["payouts"]:
        hops.append((row["signed_at"], "payout signed", row["tx_hash"]))
        hops.append((row["broadcast_at"], "payout broadcast", row["tx_hash"]))
        hops.append((row["mined_at"], "payout mined", f"block {row['block_number']}"))
        hops.append((row["final_at"], "payout final", _confirmed(row)))
    for row in found["news"]:
        block = f"block {row['block_number']}" if row["block_number"] is not None else row["tx_hash"]
        hops.append((row["heard_at"], f"the chain's webhook says {row['said']}", block))
    hops += [(row["failed_at"], "dead", row["error_code"]) for row in found["failed"]]
    hops += [(row["closed_at"], row["status"], row["recovery_tx_hash"]) for row in found["failed"] if row["closed_at"]]
    return [{"at": at, "hop": hop, "detail": detail} for at, hop, detail in sorted((h for h in hops if h[0]), key=_at)]


def _settlement(postings: list[dict[str, Any]]) -> str | None:
    """How a batch was paid by other means."""
    return next((row["reference"] for row in postings if row["kind"] == "settled"), None)


def _confirmed(payout: dict[str, Any]) -> str | None:
    return f"{payout['confirmations']} confirmations" if payout["confirmations"] else None


def _at(hop: tuple[str | None, str, str | None]) -> str:
    return hop[0] or ""


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    for key, value in row.items():
        if isinstance(value, str) and (key == "at" or key.endswith(("_at", "_since", "_until"))):
            row[key] = stamp(datetime.fromisoformat(value))
    return row
