"""Plays a case of `chain_cases` with the real payers, heals everything, and has the outcome judged.

Owns: what each step means. Two payers (gchostpay, gchostpay3) share the case's wallet, gcsplit buries and replays; each
is killed where the case says so, and begins anew. After the last step everything works again, all that waits is
delivered and swept until nothing moves, and `chain_judge` reads the chain and the database.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

from eth_account import Account

from service_code.kit.clock import moment
from tests.service_code.chain_cases import SERVICES, Case, Step
from tests.service_code.chain_door import Fault
from tests.service_code.chain_ground import FINAL, Ground, let_through
from tests.service_code.chain_judge import judge
from tests.service_code.crashing import DiedError, Mortal, mortal
from tests.service_code.outer import Task
from tests.service_code.world import INVOKER, OPERATOR, Answer

#: Rounds of delivering and sweeping after which a healed world must be quiet.
ROUNDS = 25
GWEI = 10**9
#: Wei and units of USDT with which a wallet can pay whatever a case asks for.
ENOUGH, ENOUGH_TOKENS = 9 * 10**17, 3 * 10**8
#: Seconds after which fees are raised.
STUCK = 91
#: The base fee of a chain on which little happens.
CALM = 7
#: Code that takes no payment.
REVERTS = "0x60006000fd"


class Runner:
    """One case in play."""

    def __init__(self, ground: Ground, case: Case, stack: AsyncExitStack) -> None:
        self.ground = ground
        self.case = case
        self.world = ground.world(case.seed)
        self.wallet = self.world.wallet.address.lower()
        self.ids = [f"c{case.seed}x{place}" for place in range(len(case.wishes))]
        self.asks: list[list[Task]] = []
        self.waiting: list[Task] = []
        self.answered: set[str] = set()
        self.funds = 0
        self.first_block = 0
        self.foreign: set[str] = set()
        self.turned: set[str] = set()
        self._stack = stack
        self._running: dict[str, Mortal] = {}
        self._steps = {name: getattr(self, f"_{name}") for name in STEPS}

    async def play(self) -> list[str]:
        """Play the case to its end; what is wrong then."""
        await self._begin()
        for step in self.case.steps:
            await self._steps[step.do](step)
            self._collect()
        complaints = await self._heal()
        if self.case.replayed and not complaints:
            for place in range(len(self.ids)):
                await self._replay(Step(do="replay", which=place))
            self._collect()
            complaints = await self._heal()
        complaints += await judge(self)
        complaints += self.ground.errors.lines
        self.ground.errors.lines = []
        for address in self.turned:
            await self.ground.ask("anvil_setCode", address, "0x")
        return complaints

    async def _begin(self) -> None:
        ground = self.ground
        ground.outer.tasks.clear()
        self.first_block = await ground.number("eth_blockNumber")
        self.funds = self.case.funds
        for unique_id, wish in zip(self.ids, self.case.wishes, strict=True):
            payin = Account.from_key(f"0x{random.Random(ground.salt + unique_id).getrandbits(250) + 1:064x}").address
            self.asks.append([await ground.payment(unique_id, payin, wish)])

    # Instances

    async def running(self, service: str) -> Mortal:
        """The instance of a service; a new one where the last was killed."""
        found = self._running.get(service)
        if found is None or found.life.dead:
            found = await self._stack.enter_async_context(mortal(self.world, service))
            self._running[service] = found
        return found

    async def call(self, service: str, method: str, path: str, kill: int | None = None, body: bytes = b"") -> Any:
        """Call a service's door as scheduler or operator; None where it died."""
        instance = await self.running(service)
        who = INVOKER if path == "/sweep" else OPERATOR
        headers = {"Authorization": f"Bearer {self.world.token(service, who)}"}
        errors = list(self.ground.errors.lines)
        instance.life.die_at(kill)
        try:
            return await instance.request(method, path, body, **headers)
        except DiedError:
            self.ground.errors.lines = errors  # what it said while it was torn down, nobody hears
            return None
        finally:
            instance.life.die_at(None)

    async def deliver(self, task: Task, kill: int | None = None) -> bool:
        """Deliver a task as its queue would; whether it was acknowledged."""
        instance = await self.running(task.service)
        errors = list(self.ground.errors.lines)
        instance.life.die_at(kill)
        try:
            return (await instance.deliver(task)).status == 200
        except DiedError:
            self.ground.errors.lines = errors
            return False
        finally:
            instance.life.die_at(None)

    def _collect(self) -> None:
        """Take what was enqueued: asks to their payments, the payers' own to the waiting, the rest is not judged."""
        tasks, self.ground.outer.tasks = self.ground.outer.tasks, []
        for task in tasks:
            if task.queue == "gcsplit-hostpay-trigger-queue":
                self.waiting.append(let_through(task, moment(self.ground.clock)))
            elif task.service in SERVICES:
                self.waiting.append(task)

    # Steps

    async def _ask(self, step: Step) -> None:
        tasks = self.asks[step.which % len(self.asks)]
        await self.deliver(tasks[step.which % len(tasks)], step.kill)

    async def _confirm(self, step: Step) -> None:
        if self.waiting:
            task = self.waiting[step.which % len(self.waiting)]
            # Every other one is delivered twice.
            if await self.deliver(task, step.kill) and step.which % 2:
                self.waiting.remove(task)

    async def _sweep(self, step: Step) -> None:
        await self.call(step.how, "POST", "/sweep", step.kill)

    async def _stuck(self, step: Step) -> None:
        """Sweep after a time in which nothing was mined that should have been."""
        self.ground.clock.at += STUCK
        await self._sweep(step)

    async def _bury(self, step: Step) -> None:
        await self.call("gcsplit", "POST", "/sweep", step.kill)

    async def _together(self, _: Step) -> None:
        tasks = [task for tasks in self.asks for task in tasks] + self.waiting
        await asyncio.gather(*(self.deliver(task) for task in tasks for _ in range(2)), *self._sweeps())

    def _sweeps(self) -> list[Any]:
        return [self.call(service, "POST", "/sweep") for service in (*SERVICES, "gcsplit")]

    async def _storm(self, step: Step) -> None:
        """Everything that is not acknowledged at once, to several instances of each payer, which die on the way."""
        chance = random.Random(step.which)
        tasks = [task for tasks in self.asks for task in tasks if task.name not in self.answered] + self.waiting
        async with AsyncExitStack() as stack:
            crews: dict[str, list[Mortal]] = {}
            for service in SERVICES:
                crews[service] = [
                    await stack.enter_async_context(mortal(self.world, service, chance.randint(20, 40 * len(tasks))))
                    for _ in range(step.count)
                ]
            errors = list(self.ground.errors.lines)
            answers = await asyncio.gather(
                *(chance.choice(crews[task.service]).deliver(task) for task in tasks), return_exceptions=True
            )
            self.ground.errors.lines = errors
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, Answer) and answer.status == 200:
                self.answered.add(task.name)
        self.waiting = [task for task in self.waiting if task.name not in self.answered]

    async def _release(self, _: Step) -> None:
        await self.ground.door.release()

    async def _mine(self, step: Step) -> None:
        """Make blocks; of many made at once, only the first takes what waits."""
        await self.ground.ask_all(*(("anvil_mine", hex(count)) for count in (1, step.count - 2, 1) if count > 0))

    async def _wait(self, step: Step) -> None:
        self.ground.clock.at += step.count

    async def _lie(self, step: Step) -> None:
        method, _, kind = step.how.partition(": ")
        self.ground.door.break_down(Fault(method, kind, step.count, step.which or 1))

    _silence = _lie

    async def _spike(self, step: Step) -> None:
        await self.ground.ask("anvil_setNextBlockBaseFeePerGas", hex(step.count * GWEI))
        await self.ground.ask("anvil_mine", "0x1")

    async def _variants(self) -> dict[int, list[Any]]:
        """What was signed with each nonce, the oldest first."""
        rows = await self.ground.sql.fetch(
            "SELECT nonce, tx_hash, raw FROM tx_variants WHERE lower(address) = $1 ORDER BY nonce, signed_at, max_fee",
            self.wallet,
        )
        found: dict[int, list[Any]] = {}
        for row in rows:
            found.setdefault(row["nonce"], []).append(row)
        return found

    async def _send(self, raw: bytes) -> None:
        """Give the chain a transaction; it may have it already, or refuse it."""
        try:
            await self.ground.ask("eth_sendRawTransaction", "0x" + raw.hex())
        except AssertionError:
            return

    async def _reorg(self, step: Step) -> None:
        """Put other blocks in the place of the last ones; what was in them is gone, back, or another variant of it."""
        chance, ground = random.Random(step.which), self.ground
        head = await ground.number("eth_blockNumber")
        first = await ground.number("eth_getTransactionCount", self.wallet, hex(max(head - step.count, 0)))
        variants = {nonce: rows for nonce, rows in (await self._variants()).items() if nonce >= first}
        await ground.ask("anvil_dropAllTransactions")
        await ground.ask("anvil_reorg", step.count, [])
        for nonce in sorted(variants):
            rows = variants[nonce]
            if step.how == "gone" or (step.how == "some" and chance.random() < 0.5):
                break
            await self._send((rows[0] if step.how == "older" else chance.choice(rows))["raw"])
        if step.how != "gone" and chance.random() < 0.7:
            await ground.ask("anvil_mine", "0x1")

    async def _drop(self, step: Step) -> None:
        """Have the node forget what waits: all of it, or one transaction."""
        if step.which % 3 == 0:
            await self.ground.ask("anvil_dropAllTransactions")
            return
        hashes = [row["tx_hash"] for rows in (await self._variants()).values() for row in rows]
        if hashes:
            await self.ground.ask("anvil_dropTransaction", hashes[step.which % len(hashes)])

    async def _older(self, _: Step) -> None:
        """Mine what was replaced: the first variant of the nonce that is next in line."""
        variants = await self._variants()
        following = await self.ground.number("eth_getTransactionCount", self.wallet, "latest")
        await self.ground.ask("anvil_dropAllTransactions")
        if following in variants:
            await self._send(variants[following][0]["raw"])
        await self.ground.ask("anvil_mine", "0x1")

    async def _foreign(self, _: Step) -> None:
        """Somebody else signs with the wallet's key."""
        nonce = await self.ground.number("eth_getTransactionCount", self.wallet, "latest")
        await self.ground.ask("anvil_dropAllTransactions")
        transfer = {
            "chainId": self.world.chain_id, "nonce": nonce, "to": "0x" + "11" * 20, "value": 1, "gas": 21_000,
            "maxFeePerGas": 400 * GWEI, "maxPriorityFeePerGas": GWEI,
        }  # fmt: skip
        signed = Account.sign_transaction(transfer, self.world.wallet.key)
        self.foreign.add("0x" + signed.hash.hex().removeprefix("0x"))
        await self._send(bytes(signed.raw_transaction))
        await self.ground.ask("anvil_mine", "0x1")

    async def _turncoat(self, step: Step) -> None:
        """The address that is to be paid becomes a contract that takes nothing, or ceases to be one."""
        unique_id = self.ids[step.which % len(self.ids)]
        payin = await self.ground.sql.fetchval(
            "SELECT payin_address FROM split_payout_que WHERE unique_id = $1", unique_id
        )
        self.turned.add(payin)
        await self.ground.ask("anvil_setCode", payin, "0x" if step.which % 2 else REVERTS)

    async def _halt(self, step: Step) -> None:
        """The token's issuer stops all transfers, or lets them go on."""
        await self.ground.usdt.halt(on=step.which % 3 > 0)

    async def _abandon(self, step: Step) -> None:
        unique_id = self.ids[step.which % len(self.ids)]
        await self.call("gchostpay", "POST", f"/payouts/{unique_id}/abandon", step.kill)

    async def _resume(self, step: Step) -> None:
        await self.call("gchostpay", "POST", "/wallet/resume", step.kill)

    async def _replay(self, step: Step) -> None:
        unique_id = self.ids[step.which % len(self.ids)]
        await self.call("gcsplit", "POST", f"/dead/{unique_id}/replay", step.kill)

    # The end

    async def _heal(self) -> list[str]:
        """Everything works again: deliver, mine and sweep until nothing moves."""
        ground = self.ground
        ground.door.heal()
        await ground.door.release()
        missing = ENOUGH - await ground.number("eth_getBalance", self.wallet, "latest")
        if missing > 0:
            await ground.fund(self.wallet, missing)
            self.funds += missing
        await ground.ask("anvil_setNextBlockBaseFeePerGas", hex(CALM))
        await ground.usdt.halt(on=False)
        if (missing := ENOUGH_TOKENS - await ground.usdt.balance(self.wallet)) > 0:
            await ground.usdt.give(self.wallet, missing)
        for address in self.turned:
            await ground.ask("anvil_setCode", address, "0x")
        reasons: list[str] = []
        waits = await self._not_quiet()
        for _ in range(ROUNDS):
            await ground.ask("anvil_setNextBlockBaseFeePerGas", hex(CALM))
            settled = "stopped" in waits or ("unfinal" in waits and "open" not in waits)
            await ground.ask("anvil_mine", hex(FINAL if settled else 1))
            for task in [*(tasks[-1] for tasks in self.asks), *self.waiting]:
                if task.name not in self.answered and await self.deliver(task):
                    self.answered.add(task.name)
                    if task in self.waiting:
                        self.waiting.remove(task)
            for sweep in self._sweeps():
                answer = await sweep
                if answer is None or answer.status != 200:
                    reasons.append(f"a sweep of a healed world failed: {answer}")
            self._collect()
            waits = await self._not_quiet()
            if not waits:
                return reasons
            if "stopped" in waits:
                await self._resume(Step(do="resume"))
            ground.clock.at += 100
        return [*reasons, f"not quiet after {ROUNDS} rounds: {waits}"]

    async def _not_quiet(self) -> str:
        """What still moves."""
        (row,) = await self.ground.sql.fetch(
            """
            SELECT (SELECT count(*) FROM wallet_nonces WHERE lower(address) = $1 AND state = 'open') AS open,
                (SELECT count(*) FROM wallet_nonces WHERE lower(address) = $1 AND final_at IS NULL) AS unfinal,
                (SELECT count(*) FROM split_payout_que WHERE unique_id = ANY($2) AND status = 'pending_hostpay')
                    AS pending,
                (SELECT count(*) FROM outbox WHERE unique_id = ANY($2) AND sent_at IS NULL AND cancelled_at IS NULL)
                    AS unsent,
                (SELECT count(*) FROM wallets WHERE lower(address) = $1 AND stopped_at IS NOT NULL) AS stopped
            """,
            *(self.wallet, self.ids),
        )
        found = {name: count for name, count in row.items() if count} | (
            {"tasks": n} if (n := len(self.waiting)) else {}
        )
        return ", ".join(f"{count} {name}" for name, count in found.items())


STEPS = (
    "ask", "confirm", "sweep", "bury", "together", "mine", "wait", "lie", "silence", "spike", "reorg", "drop", "older",
    "foreign", "turncoat", "abandon", "resume", "replay",
    "storm", "release", "stuck", "halt",
)  # fmt: skip


async def play(ground: Ground, case: Case) -> list[str]:
    """Play one case; what was wrong at its end."""
    async with AsyncExitStack() as stack:
        return await Runner(ground, case, stack).play()
