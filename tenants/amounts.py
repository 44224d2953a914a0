"""Money as text: whole micro-USD inside the service, US dollars for people and callers, always exact."""

from decimal import Decimal

MICRO_PER_USD = 1_000_000


def format_usd(micro: int) -> str:
    """Return micro-USD as USD, exactly: 12500000 becomes "12.500000"."""
    sign, micro = ("-" if micro < 0 else ""), abs(micro)
    return f"{sign}{micro // MICRO_PER_USD}.{micro % MICRO_PER_USD:06d}"


def format_short(micro: int, *, signed: bool = False) -> str:
    """Return micro-USD as USD with two to six decimals for the panel: 12500000 becomes "12.50", 88209 "0.088209".

    A negative amount has a minus sign. With `signed`, a positive one has a plus sign.
    """
    whole, _, decimals = format_usd(abs(micro)).partition(".")
    sign = "−" if micro < 0 else "+" if signed and micro > 0 else ""
    return f"{sign}{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def format_dollars(micro: int) -> str:
    """Return micro-USD for a sentence of the panel, with two to six decimals: 0 becomes "$0.00"."""
    return f"${format_short(micro)}"


def parse_usd(text: str, max_micro: int) -> int | None:
    """Return the micro-USD of a text such as "12.5".

    Return None for a text that is no amount with at most six decimals, or above `max_micro` micro-USD either way.
    """
    try:
        amount = Decimal(text) * MICRO_PER_USD
    except ArithmeticError:
        return None
    is_exact = amount.is_finite() and abs(amount) <= max_micro and amount == amount.to_integral_value()
    return int(amount) if is_exact else None
