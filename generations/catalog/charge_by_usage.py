"""The charge for a delivered video: the quote, or the tokens that the upstream reported at the rate of the admission.

Rate and quote are those of the account that made the video, where they are below what was promised at the admission.
A charge below the hold gives the rest back to the budget. A charge above is captured as well, and is never silent: it
is in the log, the metrics, the generation's events and the ledger.
"""

from dataclasses import dataclass

from generations.catalog import prices
from generations.models import Generation
from tenants import amounts

MAX_CHARGE_MICRO = 2**53  # nine billion USD: a larger charge is a mistake of the upstream, and no count of tokens
# How a charge compares with the hold, as the metric's label `outcome` has it.
BELOW, EQUAL, ABOVE, NOT_REPORTED = "below", "equal", "above", "not_reported"
OUTCOMES = (BELOW, EQUAL, ABOVE, NOT_REPORTED)
LOWER_QUOTE = "the quote of the account that made the video"


@dataclass(frozen=True)
class Settlement:
    """The charge for a video that may differ from the hold."""

    charged_micro: int
    outcome: str  # one of OUTCOMES
    reason: str  # of the capture, for the ledger
    message: str  # for the generation's event; empty where the charge is not above the quote


def settle(generation: Generation) -> Settlement | None:
    """Return the charge by the account's price and what the upstream reported. Return None where it is the hold."""
    held, tokens = generation.price_micro, generation.upstream_tokens
    quote = held if generation.quote_micro is None else generation.quote_micro
    rate = find_rate(generation)
    if rate is None:
        return Settlement(quote, BELOW, LOWER_QUOTE, "") if quote < held else None
    charged = MAX_CHARGE_MICRO + 1 if tokens is None else prices.usage_micro(rate, tokens)
    if tokens is None or charged > MAX_CHARGE_MICRO:
        reported = "no usage" if tokens is None else f"{tokens} tokens, which no video has"
        message = f"The upstream reported {reported}: the quote of {amounts.format_usd(quote)} USD is charged."
        return Settlement(quote, NOT_REPORTED, f"the quote: the upstream reported {reported}", message)
    usd, held_usd = amounts.format_usd(charged), amounts.format_usd(held)
    reason = f"{tokens} tokens as the upstream reported"
    if charged <= held:
        return Settlement(charged, EQUAL if charged == held else BELOW, reason, "")
    message = f"{usd} USD are charged, more than the {held_usd} USD held: the upstream reported {tokens} tokens."
    return Settlement(charged, ABOVE, f"{reason}; {held_usd} USD were held", message)


def find_rate(generation: Generation) -> int | None:
    """Return the micro-USD per million tokens that count; None where the account has a price for the video itself.

    Without a price of the account, as at the sandbox or for an attempt of an older release, what was promised counts.
    """
    if generation.offer_rate_micro is None and generation.quote_micro is None:
        return generation.rate_micro
    return generation.offer_rate_micro
