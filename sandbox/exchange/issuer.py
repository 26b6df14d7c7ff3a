"""The stable coins of the sandbox: real ERC-20 contracts, issued once in the life of a chain.

Owns: their deployment and who gets them at first. Two kinds exist, as outside: USDT is `tether.vy`, whose transfers
answer nothing, as the real one's; USDC is `stable_coin.vy`, whose transfers answer true. The .hex files are what
`vyper -f bytecode` of 0.4.3 prints. The issuer's key is no secret, so that the contracts have the same addresses in
every sandbox and can stand in config. Leaves alone: what becomes of coins afterwards.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from eth_abi.abi import encode
from eth_account import Account
from eth_account.datastructures import SignedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from sandbox.chain.chain import Chain
from sandbox.erc20 import TRANSFER
from sandbox.errors import ChainError
from sandbox.store import Store
from sandbox.wire import DECIMALS

#: Coins in the order of their deployment: name and contract.
TOKENS = {"usdt": ("Tether USD (sandbox)", "tether"), "usdc": ("USD Coin (sandbox)", "stable_coin")}

#: Coins of each kind: all, the exchange's, and the host wallet's of those that services pay with.
SUPPLY, EXCHANGE_SHARE = 10**12, 10**11
HOST_SHARES = {"usdt": 10**8}

#: What the issuer has for gas, what it bids, and its gas limits: a deployment, a transfer.
ISSUER_WEI = 1_000 * 10**18
MAX_FEE, PRIORITY_FEE = 200 * 10**9, 10**9
DEPLOY_GAS, TOKEN_GAS = 2_000_000, 120_000

_BALANCE_OF = bytes.fromhex("70a08231")


class Issuer:
    """Makes the coins."""

    def __init__(self, store: Store, chain: Chain, chain_id: int) -> None:
        self._store = store
        self._chain = chain
        self._chain_id = chain_id
        self._account = Account.from_key(keccak(text="sluice sandbox: issuer of stable coins"))
        #: Contracts by symbol.
        self.tokens: dict[str, str] = {}

    async def prepare(self, exchange: str) -> None:
        """Deploy the coins and give the exchange its share, once in the life of the chain."""
        if known := self._store.fact("coins"):
            self.tokens = json.loads(known)
            return
        if not self._store.fact("issuer_funded"):
            await self._chain.fund(self._account.address, ISSUER_WEI)
            self._store.remember("issuer_funded", str(ISSUER_WEI))
        hashes = {}
        for nonce, (symbol, (name, contract)) in enumerate(TOKENS.items()):
            code = bytes.fromhex(Path(__file__).with_name(f"{contract}.hex").read_text().strip().removeprefix("0x"))
            values = [name, symbol.upper(), DECIMALS[symbol], SUPPLY * 10 ** DECIMALS[symbol]]
            data = code + encode(["string", "string", "uint8", "uint256"], values)
            hashes[symbol] = await self._send(self._sign(nonce, b"", data, DEPLOY_GAS))
        await self._chain.mine()
        for symbol, tx_hash in hashes.items():
            receipt = await self._chain.node.call("eth_getTransactionReceipt", tx_hash)
            self.tokens[symbol] = to_checksum_address(receipt["contractAddress"])
        for nonce, symbol in enumerate(TOKENS, start=len(TOKENS)):
            await self._give(nonce, symbol, exchange, EXCHANGE_SHARE)
        await self._chain.mine()
        self._store.remember("coins", json.dumps(self.tokens))

    async def fund(self, wallet: str) -> None:
        """Give the host wallet its share, once."""
        for symbol, coins in HOST_SHARES.items():
            if await self.balance(symbol, wallet) == 0:
                nonce = await self._chain.node.number("eth_getTransactionCount", self._account.address, "latest")
                await self._give(nonce, symbol, wallet, coins)
                await self._chain.mine()

    @staticmethod
    def shares() -> dict[str, str]:
        """What a host wallet is given, in base units."""
        return {symbol: str(coins * 10 ** DECIMALS[symbol]) for symbol, coins in HOST_SHARES.items()}

    async def balance(self, symbol: str, owner: str) -> int:
        """What somebody has of a coin, in base units."""
        data = "0x" + (_BALANCE_OF + encode(["address"], [owner])).hex()
        return await self._chain.node.number("eth_call", {"to": self.tokens[symbol], "data": data}, "latest")

    async def _give(self, nonce: int, symbol: str, to: str, coins: int) -> None:
        data = TRANSFER + encode(["address", "uint256"], [to, coins * 10 ** DECIMALS[symbol]])
        await self._send(self._sign(nonce, bytes.fromhex(self.tokens[symbol][2:]), data, TOKEN_GAS))

    async def _send(self, signed: SignedTransaction) -> str:
        with contextlib.suppress(ChainError):  # sent by a start that did not come to its end
            await self._chain.send(signed.raw_transaction.to_0x_hex())
        return str(signed.hash.to_0x_hex())

    def _sign(self, nonce: int, to: bytes, data: bytes, gas: int) -> SignedTransaction:
        signed: SignedTransaction = self._account.sign_transaction({
            "type": 2, "chainId": self._chain_id, "nonce": nonce, "to": to, "value": 0, "data": data, "gas": gas,
            "maxFeePerGas": MAX_FEE, "maxPriorityFeePerGas": PRIORITY_FEE,
        })  # fmt: skip
        return signed
