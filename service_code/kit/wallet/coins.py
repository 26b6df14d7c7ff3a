"""What the wallet pays: ether, and the tokens whose contract is configured; what a payout of each is on chain.

USDT_CONTRACT is the token's address, or `auto`: Tether's own where CHAIN_ID is the main chain. Elsewhere `auto` is
none, and USDT is not paid. PAYOUT_LIMIT_USDT and DAY_LIMIT_USDT are the signer's, beside the ones in ether.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.address import is_checksum_address

from service_code.kit import erc20
from service_code.kit.money import Amount, MoneyError, read
from service_code.kit.settings import Settings, SettingsError
from service_code.kit.signer import TokenLimits

#: The one network on which this wallet pays, and the currency in which it takes gas.
NETWORK = "eth"
GAS_CURRENCY = "eth"
#: Ethereum's main chain; every other stack says its own.
MAINNET = 1
AUTO = "auto"
#: Tokens by currency: their contract on the main chain, the limits of one payout and of a day, in coins.
TOKENS = {"usdt": ("0xdAC17F958D2ee523a2206206994597C13D831ec7", "30000", "1500000")}


@dataclass(frozen=True, kw_only=True, slots=True)
class OnChain:
    """A payout as a transaction: whom to call, with how much ether, and with what data."""

    to: str
    value: int
    data: str = "0x"
    #: What is paid.
    currency: str = GAS_CURRENCY

    @property
    def is_token(self) -> bool:
        """Tell whether a token is paid: then the ether that it takes is gas alone."""
        return self.currency != GAS_CURRENCY


class Coins:
    """What is paid in this deployment."""

    def __init__(self, contracts: Mapping[str, str], limits: Mapping[str, TokenLimits]) -> None:
        self._contracts = dict(contracts)
        #: By contract, in lower case: what the signer may sign of each token.
        self.limits = {contract.lower(): limits[currency] for currency, contract in contracts.items()}

    @property
    def tokens(self) -> Mapping[str, str]:
        """Return the contracts by currency."""
        return self._contracts

    def transfer_of(self, amount: Amount, to: str) -> OnChain | None:
        """Return what a payout looks like on chain, or nothing for one that is not paid here."""
        if amount.currency == GAS_CURRENCY:
            return OnChain(to=to, value=amount.units)
        contract = self._contracts.get(amount.currency)
        if contract is None:
            return None
        return OnChain(to=contract, value=0, data=erc20.transfer(to, amount.units), currency=amount.currency)


def setting_of(currency: str) -> str:
    """Name the setting that holds a token's contract."""
    return f"{currency.upper()}_CONTRACT"


def coins_of(settings: Settings) -> Coins:
    """Read the tokens from config, refusing what is no address or no amount."""
    chain_id = settings.number("CHAIN_ID", MAINNET)
    contracts: dict[str, str] = {}
    limits: dict[str, TokenLimits] = {}
    for currency, (mainnet, payout, day) in TOKENS.items():
        name = setting_of(currency)
        contract = settings.config(name, AUTO)
        if contract == AUTO and chain_id != MAINNET:
            continue
        contract = mainnet if contract == AUTO else contract
        if not is_checksum_address(contract):
            raise SettingsError(
                f"{name} is {contract!r}: payouts would go nowhere; give the contract's checksum address"
            )
        contracts[currency] = contract
        limits[currency] = TokenLimits(
            currency=currency,
            per_payment=limit_of(settings, f"PAYOUT_LIMIT_{currency.upper()}", payout, currency),
            per_day=limit_of(settings, f"DAY_LIMIT_{currency.upper()}", day, currency),
        )
    return Coins(contracts, limits)


def limit_of(settings: Settings, name: str, default: str, currency: str) -> int:
    """Read a limit in coins."""
    try:
        return read(settings.config(name, default), currency).units
    except MoneyError as error:
        raise SettingsError(f"{name} must be an amount of {currency} such as 0.5: {error}") from error
