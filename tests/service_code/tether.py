"""Tokens for tests: the sandbox's Tether on the test's chain, and stand-ins for contracts that behave worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from service_code.kit import erc20
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.outer import Task
from tests.service_code.world import World

CODE = Path(__file__).parents[2] / "sandbox/exchange/tether.hex"
COIN = 10**6
#: A payment.
WHOLE = 150 * COIN + 7
#: Where a deprecated token sends its calls on to.
ELSEWHERE = "0x" + "77" * 20
SUPPLY = 10**12

#: Runtime code that tells everybody of a large balance, and answers every other call so.
_ANSWERS = "60003560e01c6370a082311460{at}5760{word}60005260{size}6000f35b6b7fffffffffffffffffffffff60005260206000f3"


def _answering(word: str, size: str) -> str:
    return "0x" + _ANSWERS.format(at="19", word=word, size=size)


#: Says nothing and does nothing; says false; is no contract.
IDLE, FALSE, NONE = _answering("00", "00"), _answering("00", "20"), "0x"
#: What a deprecated Tether sends its calls on to: it tells everybody of a large balance, and of a transfer as its own.
UPGRADED = (
    "0x60003560e01c6370a0823114604257"
    f"6044356000526024356004357f{erc20.TRANSFERRED[2:]}60206000a300"
    "5b6b7fffffffffffffffffffffff60005260206000f3"
)


class Tether:
    """The token as its issuer and as anybody sees it."""

    def __init__(self, chain: Chain, issuer: str, address: str) -> None:
        self._chain = chain
        self._issuer = issuer
        self.address = address

    async def does(self, signature: str, *values: Any) -> None:
        """Have the issuer call the contract, in a block of its own."""
        types = [one for one in signature.partition("(")[2].rstrip(")").split(",") if one]
        data = "0x" + (keccak(text=signature)[:4] + encode(types, values)).hex()
        tx_hash = await self._chain.ask(
            "eth_sendTransaction", {"from": self._issuer, "to": self.address, "data": data, "gas": hex(300_000)}
        )
        await self._chain.mine()
        assert int((await self._chain.ask("eth_getTransactionReceipt", tx_hash))["status"], 16) == 1

    async def balance(self, address: str) -> int:
        data = "0x70a08231" + address.lower().removeprefix("0x").rjust(64, "0")
        return int(await self._chain.ask("eth_call", {"to": self.address, "data": data}, "latest"), 16)

    async def give(self, holder: str, units: int) -> None:
        """Have the issuer send somebody coins, in a block of its own."""
        await self.does("transfer(address,uint256)", holder, units)

    async def halted(self) -> bool:
        """Tell whether all transfers are paused."""
        return int(await self._chain.ask("eth_call", {"to": self.address, "data": erc20.PAUSED}, "latest"), 16) == 1

    async def halt(self, *, on: bool) -> None:
        """Pause all transfers, or let them go on."""
        if await self.halted() != on:
            await self.does("pause()" if on else "unpause()")

    async def empty(self, holder: str) -> None:
        """Have somebody send all his coins away, in a block of its own."""
        await self._chain.ask("anvil_impersonateAccount", holder)
        await self._chain.ask("anvil_setBalance", holder, hex(10**18))
        data = erc20.transfer(self._issuer, await self.balance(holder))
        wish = {"from": holder, "to": self.address, "data": data, "gas": hex(200_000)}
        await self._chain.ask("eth_sendTransaction", wish)
        await self._chain.mine()
        await self._chain.ask("anvil_stopImpersonatingAccount", holder)
        assert await self.balance(holder) == 0

    async def deprecate(self, upgraded: str) -> None:
        """Have another contract move the coins from now on."""
        await self._chain.ask("anvil_setCode", upgraded, UPGRADED)
        await self.does("deprecate(address)", upgraded)

    async def becomes(self, code: str) -> None:
        """Put other code in the contract's place."""
        await self._chain.ask("anvil_setCode", self.address, code)


async def issue(chain: Chain, holder: str, coins: int) -> Tether:
    """Deploy a Tether whose issuer is the chain's own account, and give somebody coins."""
    (issuer,) = await chain.ask("eth_accounts")
    code = bytes.fromhex(CODE.read_text().strip().removeprefix("0x"))
    data = code + encode(["string", "string", "uint8", "uint256"], ["Tether USD", "USDT", 6, SUPPLY * COIN])
    wish = {"from": issuer, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
    tx_hash = await chain.ask("eth_sendTransaction", wish)
    await chain.mine()
    receipt = await chain.ask("eth_getTransactionReceipt", tx_hash)
    made = Tether(chain, issuer, to_checksum_address(receipt["contractAddress"]))
    await made.give(holder, coins * COIN)
    return made


async def deprecated(usdt: Tether, _: World) -> None:
    """Have the token replaced by another contract."""
    await usdt.deprecate(ELSEWHERE)


async def split(world: World, units: int = WHOLE) -> tuple[str, Task]:
    """Have a payment in USDT split; its id and its host payment's task."""
    return await flow.split(world, units, "usdt")
