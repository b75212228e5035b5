"""Amounts of money as people read and type them. Inside they are whole numbers of a currency's minor unit (ISO 4217)."""

import re
from typing import Final

_CENTS: Final = 2
_OTHERS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""ISO 4217, list one: the currencies whose minor unit is not a hundredth."""
_DIGITS: Final = {currency: digits for digits, named in _OTHERS.items() for currency in named.split()}

THIN_SPACE: Final = "\u202f"
"""Sets thousands apart in every language, and never breaks."""
_APART: Final = str.maketrans(dict.fromkeys(f"’' \u00a0{THIN_SPACE}", ""))
"""What people type between thousands; a comma is the decimal one, as in French and German."""
_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:[.,]([0-9]{0,4}))?")
"""A quadrillion is more than any price may be; no currency has more than four decimals."""


def digits_of(currency: str) -> int:
    """Return how many decimals a currency has: CHF 2, JPY 0, KWD 3."""
    return _DIGITS.get(currency, _CENTS)


def count(number: int) -> str:
    """Return a number as it is read in any of the four languages."""
    return f"{number:,}".replace(",", THIN_SPACE)


def money(minor: int, currency: str) -> str:
    """Return an amount in its currency, with the decimals that the currency has."""
    digits = digits_of(currency)
    whole, rest = divmod(abs(minor), 10**digits)
    text = count(whole) + (f".{rest:0{digits}d}" if digits else "")
    return f"{currency} {'−' if minor < 0 else ''}{text}"


def minor_of(typed: str, currency: str, most: int) -> int | None:
    """Return an amount in the currency's minor unit; None for no amount, finer than the currency, or above `most`."""
    found = _AMOUNT.fullmatch(typed.strip().translate(_APART))
    if found is None:
        return None
    digits, decimals = digits_of(currency), found[2] or ""
    if len(decimals) > digits:  # 1,000 may be a thousand as well: better to ask than to take 1.00
        return None
    minor = int(found[1] + decimals.ljust(digits, "0"))
    return minor if minor <= most else None


def example(currency: str) -> str:
    """Return an amount as it may be typed: 25.50 for CHF, 25 for JPY."""
    return f"25.{'50000'[: digits_of(currency)]}".rstrip(".")
