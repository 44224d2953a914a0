"""The accounts at the upstreams, by name, and which of them a generation's task may go to.

The sandbox stands in for the first account of each model, on the same wire, for generations of test keys: no live key
ever goes there.
"""

from collections.abc import Iterable, Iterator, Mapping

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q

from generations.catalog import video_models
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.models import Generation
from generations.upstream import wires
from generations.upstream.protocol import Account, Wire

SANDBOX = "sandbox"


def load() -> list[Account]:
    """Return every account of every wire, configured or not."""
    return [account for wire in wires.load().values() for account in wire.accounts()]


def find(name: str, wire: str) -> Account | None:
    """Return the account as that wire reaches it; None if the wire has no such account."""
    known = wires.load().get(wire)
    return next((account for account in known.accounts() if account.name == name), None) if known else None


def get(name: str, wire: str) -> Account:
    """Return the account as that wire reaches it. Raise ImproperlyConfigured if there is none."""
    account = find(name, wire)
    if account is None:
        raise ImproperlyConfigured(f"No account {name} is reached over the wire {wire}.")
    return account


def of(generation: Generation) -> tuple[Account, Wire]:
    """Return the account that has the generation's task, and the wire that it is reached by."""
    return get(generation.account_name, generation.wire_name), wires.get(generation.wire_name)


def live_names() -> list[str]:
    """Return the names of all accounts but the sandbox, configured or not, in the order of their names."""
    return sorted({account.name for account in load()} - {SANDBOX})


def names() -> list[str]:
    """Return the names of all accounts, the sandbox last."""
    return [*live_names(), SANDBOX]


def is_live(name: str) -> bool:
    """Return whether the account takes generations that are paid for."""
    return name != SANDBOX


def find_with_books() -> list[Account]:
    """Return the configured accounts whose balance and bills can be read. The sandbox of test keys has none."""
    return [account for account in load() if account.is_configured and account.has_books and is_live(account.name)]


def usable_offers(model: VideoModel, *, test: bool) -> list[Offer]:
    """Return the offers of a model whose accounts are configured, in their order.

    For `test`, it is the sandbox in place of the first offer's account.
    """
    listed = list(model.offers)
    if test:
        listed = [Offer(SANDBOX, offer.wire, offer.target) for offer in listed[:1]]
    configured = _find_configured()
    return [offer for offer in listed if (offer.account, offer.wire) in configured]


def is_offered(model: VideoModel) -> bool:
    """Return whether some account makes videos of the model for live keys. Test keys have the sandbox alone."""
    return bool(find_offered([model]))


def find_offered(models: Iterable[VideoModel]) -> list[VideoModel]:
    """Return those of the models of which some account makes videos for live keys, in their order."""
    configured = _find_configured()
    return [model for model in models if any((offer.account, offer.wire) in configured for offer in model.offers)]


def _find_configured() -> set[tuple[str, str]]:
    """Return the account and the wire of each account that the settings have an address and a key of."""
    return {(account.name, account.wire) for account in load() if account.is_configured}


def waiting_at(name: str) -> Q:
    """Return the condition for the generations that may be submitted to the account."""
    if not is_live(name):
        return Q(test=True)
    models = [model.id for model in video_models.models().values() if any(o.account == name for o in model.offers)]
    return Q(test=False, model__in=models)


def models_of_full(capacities: Mapping[str, int]) -> list[str]:
    """Return the models whose every account has no capacity. A generation of another waits or goes elsewhere."""
    full = {name for name, capacity in capacities.items() if not capacity}
    return [
        model.id
        for model in video_models.models().values()
        if full and model.offers and full.issuperset(offer.account for offer in usable_offers(model, test=False))
    ]


def find_mistakes() -> Iterator[str]:
    """Yield each offer of the catalogue that names a wire or an account that does not exist."""
    for model in video_models.models().values():
        for number, offer in enumerate(model.offers):
            if offer.wire not in wires.load():
                known, place = ", ".join(sorted(wires.load())), f"offers[{number}].wire" if model.row.offers else "wire"
                yield f"{model.id}: {place}: there is no wire {offer.wire}; one of {known} was expected."
            elif find(offer.account, offer.wire) is None:
                found = [account.name for account in wires.get(offer.wire).accounts() if is_live(account.name)]
                place = f"offers[{number}].account"
                yield f"{model.id}: {place}: {offer.account} is not reached over {offer.wire}; see {', '.join(found)}."
