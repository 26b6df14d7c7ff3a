"""Everything about one of the dead, as lines: its record, money and way, what a replay does, which commands help."""

from __future__ import annotations

import shlex
from typing import Any

from ops.dead.things import BATCH, CONVERSION, EVENT, LETTER, MESSAGE, PAYMENT, REFUSED, Thing
from ops.dead.work import verdict
from ops.follow import coins
from ops.output import Output
from ops.place import option

#: How a batch stands that the exchange has neither taken nor refused.
ASSEMBLED = "assembled"
#: Lines of one part that are shown.
SHOWN = 40


def show(out: Output, thing: Thing, found: dict[str, Any], way: dict[str, Any] | None, stack: str) -> None:
    """Print the page."""
    out.plain(f"{thing.kind} {thing.id}  {thing.standing}")
    facts = [("since", thing.since[:19]), ("code", thing.code), ("why", thing.why), ("flow", thing.flow)]
    facts += [("amount", thing.amount), ("attempts", str(thing.attempts or ""))]
    for name, text in facts:
        if text:
            out.plain(f"  {name:<10} {text}")
    parts = {PAYMENT: _payment, EVENT: _event, LETTER: _letter, BATCH: _refused, CONVERSION: _refused}
    parts[thing.kind](out, found, way)
    _part(out, "what operators did", [action(one) for one in found.get("actions", [])])
    may, why = verdict(thing)
    would = str((found.get("replay") or {}).get("would", ""))
    _part(out, "a replay", [("may be done" if may else "is refused") + (f": {why}" if why else ""), would])
    _part(out, "commands", commands(thing, stack, may=may))


def commands(thing: Thing, stack: str, *, may: bool) -> list[str]:
    """What helps with it."""
    id_, where = shlex.quote(thing.id), option(stack)
    logs = f"./sluice logs --payment {id_}{where}"
    replay = f"./sluice dead replay {id_}{where}"
    drop = f"./sluice dead drop {id_} --why TEXT{where}"
    if thing.kind == PAYMENT:
        if not thing.standing.startswith(("dead", "investigating")):
            return [logs]
        mark = "dead" if thing.standing == "investigating" else "investigating"
        marks = [f"./sluice dead mark {id_} {mark}{where}", f"./sluice dead settle {id_} --tx 0x...{where}"]
        return [logs, *([replay] if may else []), *marks]
    if thing.standing == "archived":
        return [f"./sluice dead drop {id_} --undo --why TEXT{where}"]
    if thing.kind in (EVENT, *REFUSED):
        aside = [drop] if thing.kind == EVENT else [f"./sluice dead settle {id_} --note TEXT{where}"]
        # An exchange that is gone for good refuses nothing: what is assembled is settled as well.
        return [logs, *([replay] if may else []), *(aside if may or thing.standing == ASSEMBLED else [])]
    if thing.id.startswith(MESSAGE):
        return [replay, drop] if may else []
    about = str(thing.raw.get("unique_id") or "")
    shown = [f"./sluice dead show {shlex.quote(about)}{where}", f"./sluice logs --payment {shlex.quote(about)}{where}"]
    return [*(shown[thing.is_grant :] if about else []), *([replay] if thing.is_grant and may else []), drop]


def action(one: dict[str, Any]) -> str:
    """One line of what an operator did."""
    who = one["said_by"] or one["account"]
    change = f"{one['before'] or '-'} -> {one['after'] or '-'}"
    why = f"  {one['why']}" if one["why"] else ""
    return f"{one['at'][:19]}  {one['verb']:<8} {one['kind']:<8} {one['subject']}  {change}  by {who}{why}"


def _payment(out: Output, found: dict[str, Any], way: dict[str, Any] | None) -> None:
    deaths = [
        f"{one['failed_at'][:19]}  generation {one['generation']}  {one['error_code']}  {one['status']}"
        + (f"  {one['note']}" if one["note"] else "")
        for one in found["deaths"]
    ]
    _part(out, "deaths", deaths)
    _part(out, "ledger", [f"{one['account']:<24} {coins(one['amount'], one['currency'])}" for one in found["ledger"]])
    _went(out, found, way)
    pins = [f"{one['service']}: {one['revision']}, chosen by {one['pinned_by']}" for one in found["pins"]]
    _part(out, "revisions that it is pinned to", pins)
    _letters(out, found)


def _refused(out: Output, found: dict[str, Any], way: dict[str, Any] | None) -> None:
    wait = "payments that wait for it" if found["status"] in ("refused", ASSEMBLED) else "its payments"
    _part(out, wait, [] if found["kind"] == CONVERSION else found["payments"])
    _part(out, "ledger", [f"{one['account']:<24} {coins(one['amount'], one['currency'])}" for one in found["ledger"]])
    _went(out, found, way)
    _letters(out, found)


def _went(out: Output, found: dict[str, Any], way: dict[str, Any] | None) -> None:
    if way is not None:
        _part(out, "way", [f"{one['at'][:19]}  {one['hop']}" + _detail(one) for one in way["hops"]])
    _part(out, "outbox", [_sent(one) for one in found["outbox"]])


def _letters(out: Output, found: dict[str, Any]) -> None:
    _part(
        out,
        "letters",
        [f"letter-{one['id']}  {one['service']}{one['endpoint']}  {one['code']}" for one in found["letters"]],
    )


def _event(out: Output, found: dict[str, Any], _way: dict[str, Any] | None) -> None:
    _part(out, "ledger", [f"{one['entry_key']:<32} {one['account']:<16} {one['amount']}" for one in found["ledger"]])
    _part(out, "publications", [_sent(one) for one in found["publications"]])


def _letter(out: Output, found: dict[str, Any], _way: dict[str, Any] | None) -> None:
    _part(out, "body", [str(found["body"])[:2000]] if found.get("body") else [])
    attributes = found.get("attributes") or {}
    _part(out, "attributes", [f"{name}: {text}" for name, text in attributes.items()])
    _part(out, "ordering key", [found["orderingKey"]] if found.get("orderingKey") else [])


def _sent(row: dict[str, Any]) -> str:
    at = row["sent_at"][:19] if row["sent_at"] else "unsent"
    where = f"{row['service']} to {row['queue']}  " if "queue" in row else ""
    error = f"  {row['last_error']}" if row["last_error"] else ""
    return f"{row['created_at'][:19]}  {where}{at}  {row['attempts']} attempts{error}"


def _detail(hop: dict[str, Any]) -> str:
    return f"  {hop['detail']}" if hop["detail"] else ""


def _part(out: Output, title: str, lines: list[str]) -> None:
    lines = [line for line in lines if line]
    if not lines:
        return
    out.plain(f"  {title}", style="bold")
    for line in lines[:SHOWN]:
        out.plain(f"    {line}")
    if len(lines) > SHOWN:
        out.plain(f"    and {len(lines) - SHOWN} more (--json shows all)", style="dim")
