"""RECORD: the one intake behind both entrances. What it returns is durable, and has taken its room and its hold."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from generations import errors, ids, lifecycle, wakeups
from generations.bucket import inputs
from generations.catalog import eta, prices, video_models
from generations.media import images
from generations.media.images import Image
from generations.models import Generation, InputImage
from generations.telemetry import metrics, tracing
from generations.telemetry.failpoints import failpoint
from tenants.db.operations import Statement
from tenants.errors import LimitReached, NoSandbox, TenantSuspended
from tenants.limits import admission, windows
from tenants.limits.windows import Charge, Standing
from tenants.models import ApiKey

Source = Generation.SeedSource
# URL, Base64 or data URI; Base64 as it lies in a body; a file's bytes; one that is kept already
Picture = str | memoryview | mmap | InputImage
Checked = str | Image | InputImage | None
Audit = Callable[[Generation], Statement] | None
MAX_CHANGES = 3  # of the tenant and its key, or of pictures that are deleted, amid one create
REQUESTED = (
    *("external_id", "metadata", "rerun_of", "webhook_url", "webhook_format"),
    *("id", "tenant_id", "api_key_id", "created_at", "test", "idempotency_key", "idempotency_digest"),
    *("model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed", "seed_source"),
    *("image_url", "last_image_url", "price_micro", "first_eta"),
)


PLAIN = ("model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed")
PICTURES = ("image", "last_image")
AS_REQUESTED = tuple("prompt resolution aspect_ratio duration camera_fixed external_id metadata rerun_of".split())


@dataclass(frozen=True)
class Webhook:
    url: str
    format: str


@dataclass(frozen=True)
class GenerationRequest:
    """What a caller asks for, its fields already checked against the catalog."""

    image: Picture
    resolution: str
    aspect_ratio: str
    duration: int  # seconds
    prompt: str
    last_image: Picture | None
    camera_fixed: bool
    seed: int | None  # None and -1: draw one
    model: video_models.Model = video_models.SEEDANCE_V1_LITE_I2V
    external_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None
    rerun_of: UUID | None = None


@dataclass(frozen=True)
class Once:
    """The caller's idempotency key, and the digest of the request that it came with."""

    key: str
    digest: str


@dataclass(frozen=True)
class Accepted:
    generation: Generation
    standings: list[Standing]  # how each limit stood right after it; none where it was there before
    replayed: bool = False  # it was made by an earlier request with the same idempotency key


def like(source: Generation) -> dict[str, Any]:
    """What it was wanted with, but for what is its own: its external id, its metadata and its webhook."""
    plain = {name: getattr(source, name) for name in PLAIN}
    return plain | {name: getattr(source, name) or getattr(source, f"{name}_url") or None for name in PICTURES}


def rerun(source: Generation, *, seed: int, audit: Callable[[Generation], Statement]) -> Generation:
    """Create the same generation once more for an operator, charged to the key that made it. `audit` returns the INSERT
    of the action's audit entry, which is part of the admission."""
    assert source.api_key is not None
    model = video_models.MODELS[source.model]
    wanted = GenerationRequest(**{**like(source), "model": model, "seed": seed}, rerun_of=source.pk)
    return _accept(source.api_key, wanted, None, audit).generation


def accept(key: ApiKey, wanted: GenerationRequest, once: Once | None = None) -> Accepted:
    """The generation, committed. Raises BadImage, LimitReached, TenantSuspended, NoSandbox or StorageTrouble.

    With `once`, the same key and request give the same generation, however many come at one moment, and take nothing of
    any limit again. Raises IdempotencyKeyReused where the key came with another request.
    """
    try:
        return _accepted_once(key, wanted, once) if once else _accept(key, wanted, None)
    except (LimitReached, TenantSuspended) as refusal:
        metrics.REFUSED.labels(refusal.facts.get("limit_name", "suspended")).inc()
        raise


def _accepted_once(key: ApiKey, wanted: GenerationRequest, once: Once) -> Accepted:
    if known := _made_before(key, once):
        return known
    try:
        return _accept(key, wanted, once)
    except (LimitReached, IntegrityError):
        # Another request with this key came first, and may have taken the last room with it.
        if known := _made_before(key, once):
            return known
        raise


def _made_before(key: ApiKey, once: Once) -> Accepted | None:
    known = Generation.objects.filter(tenant=key.tenant_id, test=key.test, idempotency_key=once.key).first()
    if known is None:
        return None
    if known.idempotency_digest != once.digest:
        raise errors.IdempotencyKeyReused
    return Accepted(_as_recorded(known), [], replayed=True)


def _as_recorded(known: Generation) -> Generation:
    """As the first answer told of it, wherever it stands now."""
    first = Generation(**{name: getattr(known, name) for name in REQUESTED})
    for name in PICTURES:
        if not getattr(known, f"{name}_url"):  # what was given as a URL had not been read then
            setattr(first, name, getattr(known, name))
    return first


def _accept(key: ApiKey, wanted: GenerationRequest, once: Once | None, audit: Audit = None) -> Accepted:
    if key.test and not settings.SANDBOX_BASE_URL:
        raise NoSandbox
    began = time.monotonic()
    with tracing.span("create", tenant=key.tenant_id, test=key.test) as span:
        accepted = _made(key, wanted, once, audit, span.traceparent)
        span.tell(generation=str(accepted.generation.pk))
    metrics.ACCEPT.observe(time.monotonic() - began)
    metrics.ACCEPTED.labels(metrics.mode(test=key.test)).inc()
    return accepted


def _made(key: ApiKey, wanted: GenerationRequest, once: Once | None, audit: Audit, traceparent: str) -> Accepted:
    checked = {name: _checked(name, getattr(wanted, name)) for name in PICTURES}
    generation = _draft(key, wanted)
    generation.traceparent = traceparent
    if once:
        generation.idempotency_key, generation.idempotency_digest = once.key, once.digest
    if any(isinstance(picture, Image) for picture in checked.values()):
        # What would be refused leaves nothing in the bucket.
        admission.check_capacity(key, _charges(generation))
    _keep(generation, checked)
    standings = _admit(generation, checked, [audit(generation)] if audit else [])
    wakeups.ring()
    return Accepted(generation, standings)


def _admit(generation: Generation, checked: dict[str, Checked], audit_entries: Sequence[Statement]) -> list[Standing]:
    """Admit the generation; its row, its hold and its counters are committed, or nothing of them. Where its key or an
    input image was changed since they were read, they are read again."""
    for _ in range(MAX_CHANGES):
        try:
            return admit_and_record(generation, audit_entries)
        except admission.KeyChanged:
            assert generation.api_key is not None
            generation.api_key = ApiKey.objects.select_related("tenant").get(pk=generation.api_key.pk)
        except admission.RequiredRowMissing:
            _keep(generation, checked)
    return admit_and_record(generation, audit_entries)


def admit_and_record(generation: Generation, audit_entries: Sequence[Statement] = ()) -> list[Standing]:
    """Write the generation, its hold and its counters in one transaction; return how each limit stands then."""
    charges = _charges(generation)
    assert generation.api_key is not None
    writes = [*lifecycle.prepare_inserts(generation, charges), *audit_entries]
    required, count = lifecycle.required_inputs(generation.image_id, generation.last_image_id)
    failpoint("accept_before_commit")
    standings = admission.admit(generation.api_key, charges, writes, required, count)
    lifecycle.log_transition(generation, "accepted")
    failpoint("accept_committed")
    return standings


def _charges(generation: Generation) -> list[Charge]:
    """Return what the generation takes of the windows in which it was created."""
    assert generation.api_key is not None
    zone = generation.api_key.tenant.zone
    return windows.charges(generation.price_micro, generation.duration, generation.created_at, zone)


def _draft(key: ApiKey, wanted: GenerationRequest) -> Generation:
    seed, seed_source = _seed(wanted.seed)
    now = timezone.now()
    draft = Generation(
        id=ids.at(now),
        tenant=key.tenant,
        api_key=key,
        test=key.test,
        created_at=now,
        model=wanted.model.name,
        seed=seed,
        seed_source=seed_source,
        **{name: getattr(wanted, name) for name in AS_REQUESTED},
        webhook_url=wanted.webhook.url if wanted.webhook else "",
        webhook_format=wanted.webhook.format if wanted.webhook else Generation.WebhookFormat.STANDARD,
        price_micro=0
        if key.test
        else prices.price_micro(wanted.model, wanted.resolution, wanted.aspect_ratio, wanted.duration),
    )
    draft.first_eta = eta.remaining(draft)
    return draft


def _keep(generation: Generation, checked: dict[str, Checked]) -> None:
    for name, picture in checked.items():
        setattr(generation, name, _kept(generation.tenant_id, picture))
        setattr(generation, f"{name}_url", picture if isinstance(picture, str) else "")


def _seed(given: int | None) -> tuple[int, Source]:
    """Always a concrete number, known before the upstream hears of it."""
    if given is None or given == video_models.RANDOM_SEED:
        return random.randint(0, video_models.SEED_MAX), Source.DRAWN  # noqa: S311  # no secret
    return given, Source.CALLER


def _checked(name: str, picture: Picture | None) -> Checked:
    try:
        match picture:
            case str() if picture:
                return inputs.from_text(picture)
            case memoryview():
                return images.inspect(images.decode(picture))
            case mmap():
                return images.inspect(picture)
    except errors.BadImage as error:
        error.field = name
        raise
    return picture or None


def _kept(tenant_id: int, checked: Checked) -> InputImage | None:
    match checked:
        case Image():
            return inputs.keep(tenant_id, checked)
        case InputImage():
            return inputs.still_there(checked)
    return None
