"""The models as the panel lists them: state, end, price, and how each fared in the last 24 hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from generations.admin import account_entries
from generations.admin.account_entries import OfferEntry
from generations.catalog import prices, states, video_models
from generations.catalog.states import ModelStatus
from generations.catalog.video_models import VideoModel
from generations.models import ModelState
from generations.reports import model_statistics
from generations.reports.hourly_statistics import Counts
from generations.upstream import routes
from tenants import amounts

State = ModelState.State
COLOURS = {State.ACTIVE: "success", State.DEPRECATED: "warning", State.RETIRED: "danger", State.HIDDEN: "info"}
UNIT_NAMES = {"per_token": "million tokens", "per_second": "second", "per_video": "video"}


@dataclass(frozen=True)
class Entry:
    """A model of the list, in words."""

    model: VideoModel
    status: ModelStatus
    counts: Counts  # of the last 24 hours
    last_success: datetime | None
    is_gone: bool  # at one of its accounts
    offers: Sequence[OfferEntry]  # its accounts in their order

    @property
    def badge(self) -> str:
        """The reason to look at the model; empty if there is none."""
        if self.is_gone:
            return "route gone"
        days = states.days_left(self.status)
        return f"ends in {days} days" if days is not None and days <= states.WARNED_DAYS else ""

    @property
    def colour(self) -> str:
        """The colour of the state's label."""
        return COLOURS[self.status.state]

    @property
    def price(self) -> str:
        """The price, as short as possible."""
        return format_price(self.model)

    @property
    def url(self) -> str:
        """The address of the model's page."""
        return page_url(self.model.id)

    @property
    def generations_url(self) -> str:
        """The address of the list of the model's generations."""
        return generations_url(self.model.id)


def entries(now: datetime) -> list[Entry]:
    """Return each model of the catalogue: one query adds up the day, and one a model finds the last success."""
    counts, gone = model_statistics.count_last_day(now), {routes.model_of(pause) for pause in routes.find_gone()}
    offers = account_entries.offers_by_model(video_models.models())
    return [
        Entry(
            model,
            states.of(model),
            counts.get(model.id, Counts()),
            model_statistics.last_success(model.id),
            model.id in gone,
            offers[model.id],
        )
        for model in video_models.models().values()
    ]


def format_price(model: VideoModel) -> str:
    """Return the price of a model as one amount or a span, such as "0.084 to 0.168 USD per second"."""
    amounts_micro = [rate.micro for rate in prices.of(model).rates] + list(prices.of(model).cells.values())
    if not amounts_micro:
        return "unknown"
    span = dict.fromkeys(_short(micro) for micro in (min(amounts_micro), max(amounts_micro)))
    return f"{' to '.join(span)} USD per {UNIT_NAMES[model.row.price.kind]}"


def page_url(model_id: str) -> str:
    """Return the address of the model's page."""
    return reverse("admin:generations_modelstate_change", args=[model_id])


def generations_url(model_id: str) -> str:
    """Return the address of the list of the model's generations."""
    return reverse("admin:generations_generation_changelist", query={"model": model_id})


def _short(micro: int) -> str:
    """Return an amount in USD without zeros at its end."""
    return amounts.format_usd(micro).rstrip("0").rstrip(".")
