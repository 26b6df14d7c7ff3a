"""What a release writes for others and reads of them: a sample of each message and token, and rows of the outbox.

It runs with the service_code that Python finds, this release's or another's: by itself (`python -P speech.py say|hear|
write|resend`, JSON in and out) in the process of another release, imported by the tests here. So it uses only what both
have. `python -m tests.service_code.speech record REV` keeps what a release says in said/<REV>.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from service_code.gcregister import invitation
from service_code.kit import order_token
from service_code.kit.clock import moment
from service_code.kit.messages import Message
from service_code.kit.money import Amount
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit
from service_code.kit.settings import read
from service_code.kit.token_layouts import NEW, OLD
from service_code.kit.tokens import ExecuteClaim, HostPayClaim, PaidClaim, Purpose, StatusClaim, Tokens

ROOT = Path(__file__).parents[2]
SAID = Path(__file__).parent / "said"
for module in ("estimates", "news", "orders", "paynow.event", "push", "staged", "threshold"):
    import_module(f"service_code.kit.{module}")
import_module("service_code.gcregister.form")

AT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SECRET = "k" * 64
ETHER = {"currency": "eth", "units": "1" + "0" * 18}
USDT = {"currency": "usdt", "units": "250000000"}
CLIENT = {"client_wallet": "bc1qclient", "payout_currency": "btc", "payout_network": "btc"}
SPLIT = {"unique_id": "pay-1", "channel_id": -100123, "amount": ETHER, **CLIENT, "received_at": 1_795_000_000_000}
PAYOUT = {"unique_id": "pay-1", "generation": 2, "cn_api_id": "cn1"}
PENDING = {**PAYOUT, "amount": ETHER, "network": "eth", "payin_address": "0xab"}
QUOTED = {**SPLIT, "share": ETHER, "network": "eth", "way": "staged", "flow": "standard"}

#: message -> what it says; where it has more than one form, after a space.
SAMPLES: dict[str, dict[str, Any]] = {
    "Accumulate": {**SPLIT, "threshold": USDT},
    "BatchDue": {"unique_id": "pay-1", "client": {"client_id": 1, **CLIENT, "currency": "eth"}},
    "ChainNews": {"unique_id": "pay-1", "generation": 2, "said": "mined"},
    "CheckStatus": {"token": "t"},
    "ConfirmPayout": {"unique_id": "pay-1", "generation": 2},
    "DeadLetter": {"unique_id": "pay-1", "service": "paynowworker", "code": "C", "why": "w", "body": "{}"},
    "EstimateAndUpdate": {"unique_id": "pay-1", "client_id": 1, "accumulated": ETHER},
    "EstimateSplit": QUOTED,
    "ExecutePayout": {"token": "t"},
    "GrantAccess": {"unique_id": "pay-1", "user_id": 1, "channel_id": -100123, "subscription_days": 30},
    "HostPayOrder": {"token": "t"},
    "HostPayOrder by identifiers": PAYOUT,
    "PayNowEvent": {
        "unique_id": "ev-1", "kind": "order.completed", "customer_id": "c", "user_id": "u", "subject": "o-1",
        "period": None, "lines": [{"product": "points-100", "quantity": 2}],
    },
    "PayoutFailed": {**PAYOUT, "error_code": "E", "error_message": "m", "attempt_count": 3, "failed_at": 1},
    "PayoutMined": {"token": "t"},
    "PendingCheck": PENDING,
    "PendingExecute": {**PENDING, "attempt_count": 2, "first_attempt_at": 1_795_000_000_000, "last_error_code": "E"},
    "PendingHostPay": PENDING,
    "PendingMined": {**PAYOUT, "tx_hash": "0xcd", "tx_status": "success", "gas_used": 21000, "block_number": 7},
    "PendingTrigger": PENDING,
    "RegisterClient": {
        "unique_id": "reg-1", "channel_id": -100123, **CLIENT, "payout_strategy": "threshold", "threshold": USDT,
        "invited_at": 1,
    },
    "SplitEstimated": {
        **QUOTED, "to_amount": "42.5", "rate_id": "r", "valid_until": 0, "refused_code": "", "refused_why": "",
    },
    "SplitOrder": SPLIT,
    "StatusSeen": {"token": "t"},
    "TriggerPayout": {"token": "t"},
}  # fmt: skip
#: What is only another's base or part, and never sent.
NEVER_SENT = {"Tokened", "Client"}


def classes(base: type[Message] = Message) -> dict[str, type[Message]]:
    """Every message that this release knows."""
    found = {one.__name__: one for one in base.__subclasses__() if one.__module__.startswith("service_code.")}
    for one in base.__subclasses__():
        found |= classes(one)
    return found


def claims() -> dict[Purpose, Any]:
    """What a token of each purpose says; amounts are such as the documents' doubles carry exactly."""
    base: dict[str, Any] = {"unique_id": "pay-1", "cn_api_id": "cn1", "issued_at": AT}
    asked = {**base, "amount": Amount(currency="eth", units=5 * 10**17), "network": "eth", "payin_address": "0xab"}
    mined: dict[str, Any] = {"tx_hash": "0xcd", "tx_status": "success", "gas_used": 21000, "block_number": 7}
    return {
        Purpose.HOSTPAY_EXECUTION: HostPayClaim(**asked),
        Purpose.HOSTPAY_TRIGGER: HostPayClaim(**asked),
        Purpose.STATUS_CHECK: HostPayClaim(**asked),
        Purpose.STATUS_RESULT: StatusClaim(**asked, status="waiting"),
        Purpose.PAYMENT_EXECUTE: ExecuteClaim(**asked),
        Purpose.PAYMENT_RESULT: PaidClaim(**base, **mined),
    }


def orders() -> tuple[order_token.Order, invitation.Invitation]:
    """What the bot and an operator sign."""
    client: dict[str, Any] = CLIENT
    sold = order_token.Order(
        unique_id="pay-1", user_id=1, channel_id=-100123, issued_at=AT, subscription_days=30,
        amount=Amount(currency="eth", units=10**18), **client,
    )  # fmt: skip
    return sold, invitation.Invitation(channel_id=-100123, issued_at=AT, expires_at=AT + timedelta(days=1))


def say() -> dict[str, dict[str, Any]]:
    """One of each."""
    known = classes()
    messages = {name: known[name.partition(" ")[0]].model_validate(said).wire() for name, said in SAMPLES.items()}
    tokens = {
        f"{purpose.name} {version}": Tokens(SECRET, purpose, type(claim)).mint(claim, version=version)
        for purpose, claim in claims().items()
        for version in (OLD, NEW)
    }
    sold, invited = orders()
    tokens |= {"order": order_token.mint(sold, SECRET), "invitation": invitation.mint(invited, SECRET)}
    return {"messages": messages, "tokens": tokens}


def hear(said: dict[str, dict[str, Any]]) -> list[str]:
    """Read what another release says; returns what was not understood as it was meant."""
    wrong: list[str] = []
    known = classes()
    for name, wire in said["messages"].items():
        try:
            heard = known[name.partition(" ")[0]].decode(json.dumps(wire).encode()).wire()
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {error}")
        else:
            wrong += [f"{name}.{key}" for key in wire if key != "version" and heard.get(key) != wire[key]]
    meant = {
        f"{purpose.name} {version}": (Tokens(SECRET, purpose, type(claim)).read, replace(claim, version=version))
        for purpose, claim in claims().items()
        for version in (OLD, NEW)
    }
    sold, invited = orders()
    meant["order"] = lambda token: order_token.read(token, SECRET), sold
    meant["invitation"] = lambda token: invitation.read(token, SECRET), invited
    for name, token in said["tokens"].items():
        read_token, expected = meant[name]
        try:
            found = read_token(token)
        except Exception as error:
            wrong.append(f"token {name}: {type(error).__name__} {error}")
        else:
            wrong += [f"token {name} says {found}"] if found != expected else []
    return wrong


class Access:
    """Tokens that only the stand-in for Cloud Tasks takes."""

    async def token(self) -> str:
        return "access-token"

    async def id_token(self, audience: str) -> str:
        return audience

    def forget(self) -> None:
        return None


class Still:
    """A clock that stands."""

    def __init__(self, at: float) -> None:
        self.at = at

    def seconds(self) -> float:
        return self.at


def sends() -> list[Send]:
    """Messages of gcwebhook."""
    known = classes()
    said = {"split-payment-queue": "SplitOrder", "channel-access-queue": "GrantAccess"}
    found = []
    for unique_id in ("pay-1", "pay-2"):
        for queue, name in said.items():
            message = known[name].model_validate({**SAMPLES[name], "unique_id": unique_id})
            found.append(Send(queue=queue, message=message, unique_id=unique_id))
    return found


async def rows(verb: str, environ: dict[str, str], at: float) -> int:
    """As gcwebhook, write rows and send none, or send what stands unsent; returns how many."""
    access: Any = Access()
    kit = Kit(read("gcwebhook", environ, {}), clock=Still(at), access=access)
    await kit.open()
    try:
        if verb == "resend":
            return await kit.outbox.resend()
        async with kit.db.transaction() as connection:
            return len(await kit.outbox.write(connection, sends(), moment(kit.clock)))
    finally:
        await kit.close()


def checkout(revision: str, folder: Path) -> Path:
    """Put another release's services into a folder; raises CalledProcessError where the history does not go back."""
    archive = ["git", "-C", str(ROOT), "archive", revision, "service_code"]
    packed = subprocess.run(archive, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], check=True, input=packed)
    return folder


async def other(folder: Path, verb: str, given: Any = None) -> Any:
    """Have another release do it."""
    command = (sys.executable, "-P", __file__, verb)
    pipe = asyncio.subprocess.PIPE
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdin=pipe, stdout=pipe, cwd=folder)
    out, _ = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, out
    return json.loads(out.splitlines()[-1])


def main(verb: str, *words: str) -> Any:
    """Run one verb."""
    if verb == "record":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            said = asyncio.run(other(checkout(words[0], Path(folder)), "say"))
        path = SAID / f"{words[0]}.json"
        path.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
        return str(path)
    given = json.load(sys.stdin)
    if verb == "say":
        return say()
    return hear(given) if verb == "hear" else asyncio.run(rows(verb, *given))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
