"""Money as text: whole micro-USD in the service, US dollars with six decimals where somebody reads or writes them."""

from decimal import Decimal

MICRO = 1_000_000  # of them are a US dollar


def usd(micro: int) -> str:
    """12500000 -> "12.500000", exactly."""
    sign, micro = ("-" if micro < 0 else ""), abs(micro)
    return f"{sign}{micro // MICRO}.{micro % MICRO:06d}"


def micro_usd(text: str, most: int) -> int | None:
    """Return the micro-USD of a text such as "12.5".

    Return None where it is no amount with at most six decimals, or has more than `most` micro-USD either way.
    """
    try:
        amount = Decimal(text) * MICRO
    except ArithmeticError:
        return None
    is_exact = amount.is_finite() and abs(amount) <= most and amount == amount.to_integral_value()
    return int(amount) if is_exact else None
