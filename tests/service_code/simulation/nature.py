"""What happens by itself: time passes, blocks come and go, the exchange's orders change, nodes have their moods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service_code.simulation.run import Simulation

#: Refusals that nodes answer, by method.
REFUSALS = (
    ("eth_estimateGas", "insufficient funds for gas * price + value"),
    ("eth_estimateGas", "nonce too low"),
    ("eth_estimateGas", "execution reverted"),
    ("eth_estimateGas", "internal error"),
    ("eth_sendRawTransaction", "replacement transaction underpriced"),
    ("eth_sendRawTransaction", "nonce too high"),
    ("eth_sendRawTransaction", "already known"),
)
#: What becomes of an order of the exchange that nobody has paid.
FATES = ("waiting", "waiting", "new", "new", "expired", "failed")
GWEI = 10**9


async def passes(simulation: Simulation) -> None:
    """One moment passes."""
    _time(simulation)
    await _blocks(simulation)
    _moods(simulation)
    await watch(simulation)


def _time(simulation: Simulation) -> None:
    dice, clock = simulation.dice, simulation.world.clock
    lot = dice.random()
    if lot < 0.35:
        clock.at += dice.uniform(0.1, 5)
    elif lot < 0.40:
        clock.at = simulation.queues.next_due(clock.at) or clock.at + 1
    elif lot < 0.42:
        clock.at += dice.uniform(30, 600)
    elif lot < 0.423:
        clock.at += dice.uniform(3600, 30 * 3600)


async def _blocks(simulation: Simulation) -> None:
    dice, chain = simulation.dice, simulation.chain
    lot = dice.random()
    if lot < 0.30:
        await chain.mine(dice.choice((1, 1, 1, 2, 40)))
    elif lot < 0.33:
        chain.automine = not chain.automine
    elif lot < 0.34:
        await chain.ask("anvil_dropAllTransactions")
    elif lot < 0.36:
        await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(dice.randint(1, 200) * GWEI))
    elif lot < 0.37:
        depth = min(dice.randint(1, 6), await simulation.head() - simulation.first_block)
        if depth > 0:
            await chain.ask("anvil_reorg", depth, [])


def _moods(simulation: Simulation) -> None:
    dice, door = simulation.dice, simulation.chain.door
    lot = dice.random()
    if lot < 0.01:
        door.harm = dict([dice.choice(REFUSALS)])
    elif lot < 0.13:
        door.harm = {}
    orders = list(simulation.world.outer.orders.values())
    if orders and dice.random() < 0.05:
        made = dice.choice(orders)
        if made["status"] in ("waiting", "new"):
            made["status"] = dice.choice(FATES)


async def watch(simulation: Simulation) -> None:
    """The exchange sees what was paid to it in ether; coins of a token it takes as they come."""
    head = await simulation.head()
    payins = {made["payinAddress"].lower(): made for made in simulation.world.outer.orders.values()}
    wallet = simulation.world.wallet.address.lower()
    for number in range(min(simulation.seen_block, head) + 1, head + 1):
        block = await simulation.chain.ask("eth_getBlockByNumber", hex(number), True)
        for tx in block["transactions"]:
            made = payins.get((tx["to"] or "").lower())
            if made is not None and tx["from"] == wallet and made["status"] == "waiting":
                made["status"] = "finished"
    simulation.seen_block = head
