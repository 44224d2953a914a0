"""The upstream accounts as the panel shows them: which takes submits now, and which is passed over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from generations.catalog.video_models import VideoModel
from generations.models import ManualPause, Pause
from generations.upstream import accounts, circuit_breaker, manual_pauses, routes

TAKES = "takes submits"
NO_KEY = "no key"
BY_HAND = "paused by operators"
BY_UPSTREAM = "paused"  # its circuit breaker is open


@dataclass(frozen=True)
class AccountEntry:
    """An account, and whether it takes submits."""

    name: str
    state: str
    reason: str = ""

    @property
    def is_taking(self) -> bool:
        """True if submits go there now."""
        return self.state == TAKES


@dataclass(frozen=True)
class OfferEntry:
    """An account that offers a model, as the model's page shows it."""

    account: str
    target: str
    state: str
    is_next: bool  # the next submit of the model goes there


def entries() -> list[AccountEntry]:
    """Return every live account, and the sandbox if it is configured."""
    configured = {account.name for account in accounts.load() if account.is_configured}
    open_circuits, by_hand = circuit_breaker.find_holding(), _find_manual_pauses()
    names = [*accounts.live_names(), *({accounts.SANDBOX} & configured)]
    return [_entry(name, configured, open_circuits, by_hand) for name in names]


def offers_of(model: VideoModel) -> list[OfferEntry]:
    """Return the accounts of a model in their order, and which one takes its next submit."""
    return offers_by_model({model.id: model})[model.id]


def offers_by_model(models: Mapping[str, VideoModel]) -> dict[str, list[OfferEntry]]:
    """Return the accounts of many models: the states are read once."""
    by_name, gone = {entry.name: entry for entry in entries()}, {pause.target for pause in routes.find_gone()}
    return {model_id: list(_offers(model, by_name, gone)) for model_id, model in models.items()}


def _find_manual_pauses() -> dict[str, ManualPause]:
    """Return the pauses of operators by the account that they hold; "" for all accounts."""
    pauses = ManualPause.objects.filter(scope__in=[ManualPause.Scope.ALL, ManualPause.Scope.ACCOUNT])
    return {pause.target: pause for pause in pauses}


def _entry(
    name: str, configured: set[str], open_circuits: Mapping[str, Pause], by_hand: Mapping[str, ManualPause]
) -> AccountEntry:
    """Return the state of one account."""
    if name not in configured:
        return AccountEntry(name, NO_KEY)
    targets = ["", name, *([manual_pauses.LIVE] if accounts.is_live(name) else [])]
    for pause in (by_hand[target] for target in targets if target in by_hand):
        return AccountEntry(name, BY_HAND, f"{pause.actor}: {pause.reason}")
    if name in open_circuits:
        return AccountEntry(name, BY_UPSTREAM, open_circuits[name].reason)
    return AccountEntry(name, TAKES)


def _offers(model: VideoModel, by_name: Mapping[str, AccountEntry], gone: set[str]) -> Iterator[OfferEntry]:
    """Yield the accounts of a model in their order. `gone` are the targets of pauses of routes that are gone."""
    is_taken = False
    for offer in model.offers:
        entry = by_name[offer.account]
        is_gone = manual_pauses.model_at(model.id, offer.account) in gone
        state = routes.GONE if is_gone and entry.is_taking else entry.state
        is_next = entry.is_taking and not is_gone and not is_taken
        is_taken = is_taken or is_next
        yield OfferEntry(offer.account, offer.target, state, is_next)
