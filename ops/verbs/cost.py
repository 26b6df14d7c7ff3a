"""`sluice cost`: what a month of a stack costs at a volume of payments, by queue, service, topic, database and logs."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer

from ops import specs
from ops.cost import estimate, month, prices, traffic
from ops.errors import BadUsage, OpsError
from ops.output import Output

#: Lines below a cent are shown together.
SHOWN = 0.005
#: Payments a day of seeds/000 section 12, with what the document says that Cloud Tasks costs, in USD a month.
DOCUMENT = {100: 0.00, 1_000: 0.00, 10_000: 0.00, 50_000: 0.80, 100_000: 2.00}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("cost", help="Estimate what a month of a stack costs.")(cost)


def cost(
    *,
    stack: Annotated[str, typer.Option("--stack", help="dev, staging or prod.")] = "prod",
    payments: Annotated[float, typer.Option("--payments-per-day", help="How many payments a day.")] = 1000,
    mix: Annotated[str, typer.Option("--mix", help="Flows in per cent: single=60,staged=30,paynow=10.")] = "",
    failing: Annotated[float, typer.Option("--failing", help="Deliveries that fail, per cent.")] = 1.0,
    documents: Annotated[
        bool, typer.Option("--documents", help="Cloud Tasks as seeds/000 counts it, beside what Google bills.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Estimate a month."""
    out = Output(as_json=as_json)
    if documents:
        _beside(out)
        return
    if not 0 <= payments <= 1e9:
        raise BadUsage(f"--payments-per-day {payments:g} is no number of payments", fix="write 0 to 1e9")
    if not 0 <= failing <= 90:
        raise BadUsage(f"--failing {failing:g} is no share", fix="write 0 to 90, the per cent of deliveries that fail")
    table, flows = prices.read(), traffic.read()
    volume = estimate.Volume(payments_per_day=payments, mix=_mix(mix, flows), failing_percent=failing)
    specs.environment(stack)
    system, below = specs.load(stack), specs.config_of(f"foundation-{stack}")
    try:
        bill = estimate.bill(system, below, volume, table, flows)
    except estimate.UnknownTierError as error:
        raise OpsError(str(error), fix="add its price to ops/cost/prices.yaml") from error
    total = sum(line.usd for line in bill)
    _show(out, bill)
    shares = ", ".join(f"{name} {share:g} %" for name, share in volume.mix.items())
    out.say(f"\n{payments:g} payments a day ({shares}) on {stack}: [bold]{total:.2f} USD a month[/bold]")
    out.say(f"List prices of {table.region}, {table.as_of}, before discounts and taxes, free allotments taken off.")
    out.result(
        {
            "stack": stack,
            "payments_per_day": payments,
            "mix": dict(volume.mix),
            "prices": {"as_of": table.as_of.isoformat(), "region": table.region},
            "usd_a_month": round(total, 2),
            "lines": [_line(line, table) for line in bill],
        }
    )


def _mix(text: str, flows: traffic.Traffic) -> dict[str, float]:
    if not text:
        return dict(flows.mix)
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, percent = part.partition("=")
        if name.strip() not in flows.flows:
            raise BadUsage(f"there is no flow {name.strip()!r}", fix=f"name some of {', '.join(flows.flows)}")
        try:
            found[name.strip()] = float(percent)
        except ValueError:
            raise BadUsage(f"{part!r} is no share", fix="write name=per cent, such as single=60") from None
        if not 0 <= found[name.strip()] <= 100:
            raise BadUsage(f"{part!r} is no share", fix="write name=per cent, 0 to 100 of them")
    if abs(sum(found.values()) - 100) > 0.01:
        raise BadUsage(f"the shares add up to {sum(found.values()):g} per cent", fix="make them 100")
    return found


def _show(out: Output, bill: list[estimate.Billed]) -> None:
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for line in bill:
        sums[line.kind, line.name] += line.usd
    small = sum(usd for usd in sums.values() if usd < SHOWN)
    rows = [[kind, name, f"{usd:10.2f}"] for (kind, name), usd in sums.items() if usd >= SHOWN]
    below = len([usd for usd in sums.values() if usd < SHOWN])
    out.table(["what", "name", "USD a month"], [*rows, ["", f"{below} more, each below a cent", f"{small:10.2f}"]])


def _line(line: estimate.Billed, table: prices.Prices) -> dict[str, Any]:
    price = table[line.item]
    return {
        "kind": line.kind,
        "name": line.name,
        "item": line.item,
        "units": round(line.units, 3),
        "unit": price.unit,
        "usd": round(line.usd, 4),
        "source": price.source,
    }


def _beside(out: Output) -> None:
    """The document's table: it counts tasks, Google bills operations (DECISIONS 21)."""
    price = prices.read()["tasks.operation"]
    flow = traffic.read().flows["documents"]
    rows = []
    for payments, said in DOCUMENT.items():
        tasks = payments * month.DAYS * sum(flow.tasks.values())
        billed = estimate.operations(tasks, 1)
        rows.append({"payments_per_day": payments, "tasks": tasks, "operations": billed, "document_usd": said,
                     "usd": round(price.of(billed), 2)})  # fmt: skip
    head = ["payments a day", "tasks a month", "operations", "the document says", "Google bills"]
    out.table(
        head,
        [
            [f"{r['payments_per_day']:,}", f"{r['tasks']:,.0f}", f"{r['operations']:,.0f}", f"{r['document_usd']:.2f}",
             f"{r['usd']:.2f}"] for r in rows
        ],
    )  # fmt: skip
    out.say("An operation is an API call or a delivery attempt, so that a task is at least two of them.")
    out.result({"cloud_tasks": rows})
