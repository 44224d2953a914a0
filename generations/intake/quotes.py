"""The price of a create, and if it would be admitted now. A quote stores, holds and counts nothing."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from generations.catalog import eta, prices, states
from generations.catalog.video_models import VideoModel
from generations.errors import ModelNotOffered, PriceUnknown
from generations.intake.generation_request import GenerationRequest
from generations.models import Generation
from generations.upstream import accounts
from tenants.db import clock
from tenants.errors import InvalidKey, NoSandbox, Refusal
from tenants.keys import allowed_models
from tenants.limits import admission, windows
from tenants.limits.windows import Kind, LimitUsage
from tenants.models import ApiKey


@dataclass(frozen=True)
class Quote:
    """The answer to a create, without the create."""

    price_micro: int | None  # what the create would hold, in micro-USD; None: no price is known
    # Each limit as it is, and what the create would take of it: of a budget None, if no price is known.
    limits: list[tuple[LimitUsage, int | None]]
    refusal: Refusal | None  # with which the create would be refused now
    eta: int | None  # seconds from the create to the video; None: not known


def make_quote(key: ApiKey, request: GenerationRequest) -> Quote:
    """Return the quote for a request, whose images are not looked at. Raise InvalidKey if the key was just revoked."""
    key = admission.read_key(key)
    if key.revoked_at is not None:
        raise InvalidKey
    now = clock.now()
    price, refusal = _price_or_refusal(key, request)
    charges = windows.charges(price or 0, request.values["duration"], now, key.tenant.zone)
    usages = admission.preview(key, charges)
    is_unknown = {Kind.USD_PER_MONTH: price is None}
    limits = [(usage, None if is_unknown.get(usage.kind) else amount) for usage, amount in usages]
    return Quote(price, limits, refusal or admission.find_refusal(key, usages), _estimate(key, request, now))


def check_model(key: ApiKey, model: VideoModel) -> None:
    """Check whether the key may create with the model at all.

    Raise NoSandbox, ModelNotAllowed, ModelRetired, or ModelNotOffered where no account at an upstream has a key.
    """
    if key.test and not settings.SANDBOX_BASE_URL:
        raise NoSandbox
    allowed_models.check_model(key, model.id)
    states.refuse_retired(model, states.of(model))
    if not (key.test or accounts.is_offered(model)):
        raise ModelNotOffered(model=model.id)


def _price_or_refusal(key: ApiKey, request: GenerationRequest) -> tuple[int | None, Refusal | None]:
    """Return the price if one is known, and the refusal before any limit is looked at. None: there is none."""
    refusal: Refusal | None = None
    try:
        check_model(key, request.model)
    except Refusal as error:
        refusal = error
    try:
        return prices.columns(request.model, request.values, test=key.test)["price_micro"], refusal
    except PriceUnknown as error:
        return None, refusal or error


def _estimate(key: ApiKey, request: GenerationRequest, now: datetime) -> int | None:
    """Return the seconds that such a generation takes, as its create would estimate them."""
    columns = {name: request.columns[name] for name in ("resolution", "duration")}
    return eta.remaining(Generation(model=request.model.id, test=key.test, created_at=now, **columns))
