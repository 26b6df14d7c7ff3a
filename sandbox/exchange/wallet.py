"""The exchange's own wallet on the chain, and the stable coins that it issued there.

Owns: signing transfers of ETH and of the two test coins (USDT, USDC with 6 decimals, real ERC-20 contracts
from `stable_coin.vy`; `stable_coin.hex` is what `vyper -f bytecode stable_coin.vy` of 0.4.3 prints). Leaves
alone: which transfers are owed, and their order.
"""

from __future__ import annotations

import json
from pathlib import Path

from eth_abi.abi import encode
from eth_account.datastructures import SignedTransaction

from sandbox.chain.chain import Chain
from sandbox.errors import ChainError
from sandbox.keys import Keys
from sandbox.store import Store
from sandbox.wire import DECIMALS

#: Coins of the exchange's making, in the order of their deployment.
TOKENS = {"usdt": "Tether USD (sandbox)", "usdc": "USD Coin (sandbox)"}

#: What the exchange owns at the beginning.
ETH_SUPPLY = 1_000_000 * 10**18
TOKEN_SUPPLY = 10**12

#: Gas limits: a plain transfer, a transfer of a coin, a deployment.
TRANSFER_GAS, TOKEN_GAS, DEPLOY_GAS = 21_000, 90_000, 2_000_000

#: What the wallet bids.
MAX_FEE, PRIORITY_FEE = 200 * 10**9, 10**9

_TRANSFER = bytes.fromhex("a9059cbb")


class Wallet:
    """Signs for the exchange; nonces are given by the caller, who stores them."""

    def __init__(self, store: Store, chain: Chain, keys: Keys, chain_id: int) -> None:
        self._store = store
        self._chain = chain
        self._account = keys.account("exchange wallet")
        self._chain_id = chain_id
        self.tokens: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The address that pays out."""
        return str(self._account.address)

    @property
    def first_nonce(self) -> int:
        """The first nonce that is free for payouts."""
        return len(TOKENS)

    async def prepare(self) -> None:
        """Fund the wallet and deploy its coins, once in the life of the chain."""
        if known := self._store.fact("tokens"):
            self.tokens = json.loads(known)
            return
        if not self._store.fact("exchange_funded"):
            await self._chain.fund(self.address, ETH_SUPPLY)
            self._store.remember("exchange_funded", str(ETH_SUPPLY))
        code = bytes.fromhex(Path(__file__).with_name("stable_coin.hex").read_text().strip().removeprefix("0x"))
        hashes = []
        for nonce, (symbol, name) in enumerate(TOKENS.items()):
            supply = TOKEN_SUPPLY * 10 ** DECIMALS[symbol]
            arguments = encode(
                ["string", "string", "uint8", "uint256"], [name, symbol.upper(), DECIMALS[symbol], supply]
            )
            signed = self._sign(nonce, b"", 0, code + arguments, DEPLOY_GAS)
            hashes.append(signed.hash.to_0x_hex())
            try:
                await self._chain.send(signed.raw_transaction.to_0x_hex())
            except ChainError:  # sent by a start that did not come to its end
                continue
        await self._chain.mine()
        for symbol, tx_hash in zip(TOKENS, hashes, strict=True):
            receipt = await self._chain.node.call("eth_getTransactionReceipt", tx_hash)
            self.tokens[symbol] = str(receipt["contractAddress"])
        self._store.remember("tokens", json.dumps(self.tokens))

    def pays(self, currency: str, network: str) -> bool:
        """Whether a payout in this currency is a transaction on our chain."""
        return network == "eth" and (currency == "eth" or currency in TOKENS)

    def transfer(self, nonce: int, currency: str, address: str, units: int) -> SignedTransaction:
        """Sign a transfer of ETH or of one of our coins."""
        to = bytes.fromhex(address[2:])
        if currency == "eth":
            return self._sign(nonce, to, units, b"", TRANSFER_GAS)
        data = _TRANSFER + encode(["address", "uint256"], [address, units])
        return self._sign(nonce, bytes.fromhex(self.tokens[currency][2:]), 0, data, TOKEN_GAS)

    def _sign(self, nonce: int, to: bytes, value: int, data: bytes, gas: int) -> SignedTransaction:
        signed: SignedTransaction = self._account.sign_transaction({
            "type": 2, "chainId": self._chain_id, "nonce": nonce, "to": to, "value": value, "data": data, "gas": gas,
            "maxFeePerGas": MAX_FEE, "maxPriorityFeePerGas": PRIORITY_FEE,
        })  # fmt: skip
        return signed
