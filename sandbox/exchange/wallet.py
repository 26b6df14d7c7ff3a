"""The exchange's own wallet on the chain.

Owns: signing transfers of ETH and of the sandbox's coins. Leaves alone: which transfers are owed, and their order; and
the coins themselves (sandbox/exchange/issuer.py).
"""

from __future__ import annotations

from eth_abi.abi import encode
from eth_account.datastructures import SignedTransaction

from sandbox.chain.chain import Chain
from sandbox.erc20 import TRANSFER
from sandbox.exchange.issuer import MAX_FEE, PRIORITY_FEE, TOKENS, Issuer
from sandbox.keys import Keys
from sandbox.store import Store

#: What the exchange owns at the beginning, beside its share of the coins.
ETH_SUPPLY = 1_000_000 * 10**18

#: Gas limits: a plain transfer, a transfer of a coin.
TRANSFER_GAS, TOKEN_GAS = 21_000, 90_000


class Wallet:
    """Signs for the exchange; nonces are given by the caller, who stores them."""

    def __init__(self, store: Store, chain: Chain, keys: Keys, issuer: Issuer, chain_id: int) -> None:
        self._store = store
        self._chain = chain
        self._account = keys.account("exchange wallet")
        self._issuer = issuer
        self._chain_id = chain_id
        #: The first nonce that is free for payouts, where none was made yet.
        self.first_nonce = 0

    @property
    def address(self) -> str:
        """The address that pays out."""
        return str(self._account.address)

    @property
    def tokens(self) -> dict[str, str]:
        """Contracts of the coins that it takes and pays, by symbol."""
        return self._issuer.tokens

    async def prepare(self) -> None:
        """Fund the wallet, once in the life of the chain."""
        if not self._store.fact("exchange_funded"):
            await self._chain.fund(self.address, ETH_SUPPLY)
            self._store.remember("exchange_funded", str(ETH_SUPPLY))
        await self._issuer.prepare(self.address)
        self.first_nonce = await self._chain.node.number("eth_getTransactionCount", self.address, "latest")

    def pays(self, currency: str, network: str) -> bool:
        """Whether a payout in this currency is a transaction on our chain."""
        return network == "eth" and (currency == "eth" or currency in TOKENS)

    def transfer(self, nonce: int, currency: str, address: str, units: int) -> SignedTransaction:
        """Sign a transfer of ETH or of a coin."""
        to = bytes.fromhex(address[2:])
        if currency == "eth":
            return self._sign(nonce, to, units, b"", TRANSFER_GAS)
        data = TRANSFER + encode(["address", "uint256"], [address, units])
        return self._sign(nonce, bytes.fromhex(self.tokens[currency][2:]), 0, data, TOKEN_GAS)

    def _sign(self, nonce: int, to: bytes, value: int, data: bytes, gas: int) -> SignedTransaction:
        signed: SignedTransaction = self._account.sign_transaction({
            "type": 2, "chainId": self._chain_id, "nonce": nonce, "to": to, "value": value, "data": data, "gas": gas,
            "maxFeePerGas": MAX_FEE, "maxPriorityFeePerGas": PRIORITY_FEE,
        })  # fmt: skip
        return signed
