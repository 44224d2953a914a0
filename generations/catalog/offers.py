"""The offers of a model: the upstream accounts that make its videos, in the order in which they are asked."""

from dataclasses import dataclass

from generations.catalog.model_file import ModelRow, PriceRow

NOVITA = "novita"  # the account of a file that names a route alone


@dataclass(frozen=True)
class Offer:
    """A model at one upstream account."""

    account: str
    wire: str  # the protocol that is spoken there
    target: str  # the path of the submit, or the model's id at the upstream
    price: PriceRow | None = None  # None: the model's


def of_row(row: ModelRow) -> tuple[Offer, ...]:
    """Return the offers of a model's file. A file with a route alone has one, of Novita's account."""
    if row.route:
        return (Offer(NOVITA, row.wire, row.route),)
    return tuple(
        Offer(offer.account, offer.wire or row.wire, offer.route or offer.upstream_model or "", offer.price)
        for offer in row.offers
    )
