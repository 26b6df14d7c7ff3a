"""Amounts are exact: nothing is lost in reading, writing or dividing."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_code.kit.money import DECIMALS, LARGEST, Amount, MoneyError, Rounding, read, read_double, split

units = st.integers(min_value=0, max_value=LARGEST)
currencies = st.sampled_from(sorted(DECIMALS))


@given(units, currencies)
def test_an_amount_survives_being_written_and_read(number: int, currency: str) -> None:
    amount = Amount(currency=currency, units=number)
    assert read(amount.text(), currency) == amount
    assert "e" not in amount.text().lower()


@given(units, st.integers(min_value=1, max_value=100))
def test_a_split_sums_to_the_whole_and_the_remainder_is_less_than_two_units(number: int, percent: int) -> None:
    whole = Amount(currency="eth", units=number)
    parts = split(whole, percent)
    assert parts.client.units + parts.platform_fee.units + parts.rounding.units == number
    assert parts.client.units == number * percent // 100
    assert 0 <= parts.rounding.units <= 1


@given(st.decimals(min_value=0, max_value=10**20, places=25))
def test_digits_beyond_the_currency_are_refused_or_cut_never_rounded_up(number: Decimal) -> None:
    text = format(number, "f")
    cut = read(text, "eth", Rounding.DOWN)
    exact = Fraction(number) * 10**18
    assert 0 <= exact - cut.units < 1
    if exact != cut.units:
        with pytest.raises(MoneyError):
            read(text, "eth")


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e5", ".5", "5.", "0x1", "1_0", " 1", "NaN", "\u0661", "1,5", "1" * 121]
)
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        read(text, "eth")


@pytest.mark.parametrize("number", [-1, LARGEST + 1, True, 1.0, "1"])
def test_base_units_are_whole_and_in_range(number: object) -> None:
    with pytest.raises(MoneyError):
        Amount(currency="eth", units=number)  # type: ignore[arg-type]
    with pytest.raises(MoneyError):
        Amount(currency="doge", units=1)


@given(st.floats(min_value=0, max_value=10**14, allow_nan=False))
def test_the_double_of_an_old_token_is_its_shortest_decimal_cut_down(number: float) -> None:
    exact = Fraction(repr(number)) * 10**18
    assert 0 <= exact - read_double(number, "eth").units < 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.5, 1e16])
def test_a_double_that_is_no_amount_is_refused(number: float) -> None:
    with pytest.raises(MoneyError):
        read_double(number, "eth")
