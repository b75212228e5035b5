"""Amounts of money: what is typed becomes the currency's minor unit (ISO 4217), and is shown with its decimals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.web.money import count, example, minor_of, money

MOST = 10**12


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        ("25", "CHF", 2500), ("25.5", "CHF", 2550), ("25,50", "EUR", 2550), ("0", "CHF", 0), (" 7. ", "CHF", 700),
        ("1'234.50", "CHF", 123_450), ("1’234.50", "CHF", 123_450), ("1\u202f234,50", "EUR", 123_450),
        ("2500", "JPY", 2500), ("0", "JPY", 0), ("25", "KWD", 25_000), ("25.505", "KWD", 25_505), ("1.5", "CLF", 15_000),
        ("1000000", "XOF", 1_000_000), ("10000000000", "CHF", MOST),
    ],
)  # fmt: skip
def test_an_amount_is_read_in_its_currency(typed: str, currency: str, minor: int) -> None:
    assert minor_of(typed, currency, MOST) == minor


@pytest.mark.parametrize(
    ("typed", "currency"),
    [
        ("1.005", "CHF"), ("25.5", "JPY"), ("25.0", "JPY"), ("1,000", "CHF"), ("1.2345", "KWD"),
        ("-1", "CHF"), ("+1", "CHF"), ("1e3", "CHF"), ("1e999999", "CHF"), ("NaN", "CHF"), ("Infinity", "CHF"),
        ("", "CHF"), (".", "CHF"), ("CHF 5", "CHF"), ("1.2.3", "CHF"), ("٢٥", "CHF"), ("1_000", "CHF"),
        ("10000000000.01", "CHF"), ("1" * 400, "CHF"),
    ],
)  # fmt: skip
def test_what_is_no_amount_of_the_currency_is_refused(typed: str, currency: str) -> None:
    assert minor_of(typed, currency, MOST) is None


@settings(max_examples=200)
@given(st.integers(0, MOST), st.sampled_from(["CHF", "EUR", "JPY", "KRW", "KWD", "BHD", "CLF", "ZZZ"]))
def test_what_is_shown_can_be_typed_again(minor: int, currency: str) -> None:
    shown = money(minor, currency)
    assert minor_of(shown.removeprefix(f"{currency} "), currency, MOST) == minor


@given(st.text(max_size=20), st.sampled_from(["CHF", "JPY", "KWD", ""]))
def test_any_text_is_an_amount_or_none(typed: str, currency: str) -> None:
    read = minor_of(typed, currency, MOST)
    assert read is None or 0 <= read <= MOST


@pytest.mark.parametrize(
    ("currency", "said"),
    [("CHF", "25.50"), ("JPY", "25"), ("KWD", "25.500"), ("CLF", "25.5000"), ("", "25.50")],
)
def test_the_example_is_an_amount_of_its_currency(currency: str, said: str) -> None:
    assert example(currency) == said
    assert minor_of(said, currency, MOST)


def test_numbers_and_money() -> None:
    assert money(255_000, "CHF") == "CHF 2\u202f550.00"
    assert money(-5, "EUR") == "EUR −0.05"
    assert money(1000, "JPY") == "JPY 1\u202f000"
    assert money(25_505, "KWD") == "KWD 25.505"
    assert count(1_234_567) == "1\u202f234\u202f567"
