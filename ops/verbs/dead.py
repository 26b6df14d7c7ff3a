"""`sluice dead`: payments that died: list them, replay each once, mark them, settle them otherwise; and dead letters.

A letter is a message that no service could handle. It is kept for people to read and moves no money by itself.
What is listed may be any stack's (`--stack`); what changes something is asked of the local one alone.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from ops import paynow, rest
from ops.afar import Afar, Doors, WhichStack
from ops.asking import confirm
from ops.errors import BadUsage, CallFailed
from ops.follow import coins
from ops.home import Home
from ops.operator import Operator
from ops.output import Output, counted
from spec.stack import LOCAL

#: The service that records deaths and replays them.
KEEPER = "gcsplit"

#: So many deaths are listed at most: of one that is missing in a full list, the service itself tells.
LISTED = 500

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Dead payments: list, replay; dead letters.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", help="Those that wait for a decision, oldest first.")(list_)
    group.command("replay", help="Pay them after all: a fresh token, a fresh exchange where the old one is over.")(
        replay
    )
    group.command("mark", help="Say that one is being looked into, or that nobody does any more.")(mark)
    group.command("settle", help="Record that one was paid by other means: its money leaves the liability.")(settle)
    group.command("events", help="Events of PayNow that failed or died: list them.")(events)
    group.command("replay-event", help="Publish events of PayNow anew, each once.")(replay_event)
    group.command("letters", help="Messages that could not be handled: where, and why.")(letters)
    app.add_typer(group, name="dead")


def list_(
    *,
    status: Annotated[str, typer.Option("--status", help="open, all, or one such as recovered.")] = "open",
    code: Annotated[str, typer.Option("--code", help="Of this error alone, such as INSUFFICIENT_FUNDS.")] = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Print the dead payments."""
    out = Output(as_json=as_json)
    dead = _dead(_doors(stack), status, code)
    if dead:
        rows = [
            [
                *(d["unique_id"], d["failed_at"][:19], d["error_code"], coins(d["amount"], d["currency"])),
                *(str(d["attempt_count"] or ""), _standing(d)),
                d["error_message"],
            ]
            for d in dead
        ]
        out.table(["payment", "since", "code", "amount", "attempts", "status", "why"], rows)
        out.say("\n./sluice dead replay PAYMENT pays one after all")
    else:
        out.say("no payment is dead" if status == "open" and not code else "no death is recorded like this")
    out.result({"dead": dead})


def replay(
    payments: Annotated[list[str] | None, typer.Argument(help="Their ids.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are dead and retryable.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which would be replayed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Replay; one that is not dead (any more) is left alone and counted apart."""
    out = Output(as_json=as_json)
    if every == bool(payments):
        raise BadUsage("say which payments to replay", fix="give their ids, or --all")
    operator = Operator(Home.find())
    # Not what somebody looks into, nor what can never be paid like this: those are replayed by name.
    listed = [d["unique_id"] for d in _dead(operator, "dead") if d["retryable"]] if every else []
    chosen = listed or list(payments or [])
    if dry_run:
        out.say(f"would replay {', '.join(chosen) or 'none'}")
        out.result({"would_replay": chosen})
        return
    if chosen and not (yes or as_json):
        if not every:
            _stand(operator, chosen)
        confirm(f"Replay {counted(len(chosen), 'payment')}? Each is paid from the host wallet.")
    answers = [_replay(operator, payment) for payment in chosen]
    for answer in answers:
        tell = out.refusal if "error" in answer else out.step
        tell(f"{answer['unique_id']}  {answer['status']}", answer.get("reason", ""))
    if not chosen:
        out.say("no payment is dead and retryable; nothing was replayed")
    replayed = sum(answer["status"] == "replayed" for answer in answers)
    out.result({"replayed": replayed, "answers": answers})
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def mark(
    payment: Annotated[str, typer.Argument(help="Its id.")],
    status: Annotated[str, typer.Argument(help="investigating, or dead to take that back.")],
    *,
    note: Annotated[str, typer.Option("--note", help="What people should know.")] = "",
    as_json: Json = False,
) -> None:
    """Mark a dead payment; it stays dead."""
    _post(payment, "status", {"status": status, **({"note": note} if note else {})}, Output(as_json=as_json))


def settle(
    payment: Annotated[str, typer.Argument(help="Its id.")],
    *,
    tx_hash: Annotated[str, typer.Option("--tx", help="The transaction that paid it.")] = "",
    note: Annotated[str, typer.Option("--note", help="How it was paid, where there is no transaction.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Record a payment by other means; it can never be replayed after that."""
    out = Output(as_json=as_json)
    if not (tx_hash or note):
        raise BadUsage("say how it was paid", fix="give --tx 0x... or --note")
    if not (yes or as_json):
        _stand(Operator(Home.find()), [payment])
        confirm(f"Record that {payment} was paid by other means? It is never replayed after that.")
    _post(payment, "recovered", {k: v for k, v in (("tx_hash", tx_hash), ("note", note)) if v}, out)


def _post(payment: str, what: str, body: dict[str, str], out: Output) -> None:
    try:
        answer = dict(Operator(Home.find()).call("POST", KEEPER, f"/failed-transactions/{payment}/{what}", body))
    except CallFailed as error:
        if error.status in (400, 404):
            raise BadUsage(
                f"{payment}: {rest.reason(error.body)}", fix="./sluice dead list shows what is dead"
            ) from error
        raise
    done = answer.get("already")
    out.step(f"{payment}  {answer['status']}", f"it was {done} before" if done else "")
    out.result(answer)


def events(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print PayNow's events that wait for a decision."""
    out = Output(as_json=as_json)
    found = paynow.dead(_doors(stack))
    if found:
        rows = [[*(e["event_id"], e["received_at"][:19], e["status"], e["code"]), e["why"]] for e in found]
        out.table(["event", "since", "status", "code", "why"], rows)
        out.say("\n./sluice dead replay-event EVENT processes one after all")
    else:
        out.say("no event has failed or died")
    out.result({"events": found})


def replay_event(
    chosen: Annotated[list[str] | None, typer.Argument(metavar="EVENT...", help="Their ids.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are listed.")] = False,
    as_json: Json = False,
) -> None:
    """Replay; one that is processed or queued (again) is left alone."""
    out = Output(as_json=as_json)
    if every == bool(chosen):
        raise BadUsage("say which events to replay", fix="give their ids, or --all")
    operator = Operator(Home.find())
    answers = [
        paynow.replay(operator, event)
        for event in ([one["event_id"] for one in paynow.dead(operator)] if every else chosen or [])
    ]
    for answer in answers:
        out.step(f"{answer['event_id']}  {answer['status']}")
    out.result({"replayed": sum(answer["status"] == "replayed" for answer in answers), "answers": answers})


def letters(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print the dead letters, as the service lists them."""
    out = Output(as_json=as_json)
    answer = _doors(stack).call("GET", KEEPER, "/dead-letters")
    found = [dict(one) for one in answer["dead_letters"]]
    for one in found:
        about = one["unique_id"] or "no payment"
        out.plain(f"{one['created_at'][:19]}  {one['service']}{one['endpoint']}  {about}  {one['code']}")
        out.plain(f"    attempt {one['attempt_number']}: {one['why']}", style="dim")
    out.say("\n./sluice logs --payment PAYMENT shows how one came to this" if found else "there is no dead letter")
    out.result({"letters": found})


def _doors(stack: str) -> Doors:
    return Operator(Home.find()) if stack == LOCAL else Afar(stack)


def _standing(death: dict[str, Any]) -> str:
    hopeless = not death["retryable"] and not death["closed_at"]
    return f"{death['status']}, look first" if hopeless else str(death["status"])


def _stand(operator: Operator, payments: list[str]) -> None:
    """Refuse ids of which no death stands, before anybody is asked about them."""
    listed = {death["unique_id"] for death in _dead(operator)}
    if len(listed) < LISTED and (strange := [payment for payment in payments if payment not in listed]):
        raise BadUsage(
            f"not dead: {', '.join(strange)}",
            why="no death stands of such an id, so nothing was done",
            fix="./sluice dead list shows what is dead",
        )


def _dead(operator: Doors, status: str = "open", code: str = "") -> list[dict[str, Any]]:
    query = urlencode({"status": status, **({"code": code} if code else {})})
    try:
        return list(operator.call("GET", KEEPER, f"/failed-transactions?{query}")["failed_transactions"])
    except CallFailed as error:
        if error.status == 400:
            raise BadUsage(rest.reason(error.body)) from error
        raise


def _replay(operator: Operator, payment: str) -> dict[str, Any]:
    try:
        return dict(operator.call("POST", KEEPER, f"/dead/{payment}/replay"))
    except CallFailed as error:
        return {"unique_id": payment, "status": "refused", "error": error.status, "reason": rest.reason(error.body)}
