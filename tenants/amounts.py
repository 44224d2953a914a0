"""Money as text: whole micro-USD inside the service, US dollars with six decimals for people and callers."""

from decimal import Decimal

MICRO_PER_USD = 1_000_000


def format_usd(micro: int) -> str:
    """Return micro-USD as USD, exactly: 12500000 becomes "12.500000"."""
    sign, micro = ("-" if micro < 0 else ""), abs(micro)
    return f"{sign}{micro // MICRO_PER_USD}.{micro % MICRO_PER_USD:06d}"


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
