"""Create a generation from a request: check and store its images, draft its row, admit and record it.

A generation that this module returns is committed: its limits are charged and its price is held.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import IntegrityError

from generations import errors, ids, wakeups
from generations.catalog import eta, prices, request_check, states, video_models
from generations.catalog.request_fields import RANDOM_SEED
from generations.catalog.video_models import VideoModel
from generations.intake import generation_request, idempotency, quotes, record, request_images
from generations.intake.generation_request import GenerationRequest
from generations.intake.idempotency import IdempotencyKey
from generations.intake.request_images import CheckedImages
from generations.models import Generation
from generations.telemetry import metrics, tracing
from tenants.db import clock
from tenants.db.operations import Statement
from tenants.errors import (
    ChangedConcurrently,
    LimitReached,
    ModelNotAllowed,
    NotPossible,
    TenantSuspended,
)
from tenants.limits import admission, refusals
from tenants.limits.windows import LimitUsage
from tenants.models import ApiKey, RefusalCount

log = structlog.stdlib.get_logger(__name__)

AuditEntry = Callable[[Generation], Statement]

MAX_TRIES = 4  # while an input image is deleted again and again during one create


@dataclass(frozen=True)
class Accepted:
    """A created generation, and the usage of each limit right after it."""

    generation: Generation
    limit_usage: list[LimitUsage]  # empty for a replay
    is_replay: bool = False  # an earlier request with the same idempotency key created the generation


def create_generation(
    key: ApiKey, request: GenerationRequest, idempotency_key: IdempotencyKey | None = None
) -> Accepted:
    """Create a generation and commit it.

    Raise BadImage, LimitReached, ModelNotAllowed, ModelRetired, ModelNotOffered, TenantSuspended, InvalidKey,
    NoSandbox, ChangedConcurrently or StorageError.
    Requests with the same `idempotency_key` return the same generation, however many arrive at once; limits are charged
    once. Raise IdempotencyKeyReused if the key came with another request before.
    """
    try:
        return _create_once(key, request, idempotency_key) if idempotency_key else _create(key, request, None)
    except (LimitReached, TenantSuspended) as refusal:
        _count_refusal(key, refusal)
        raise


def rerun_generation(source: Generation, *, seed: int | None, audit_entry: AuditEntry) -> Generation:
    """Create the same generation once more for an operator, charged to the key that created `source`.

    `audit_entry` returns the INSERT of the action's audit entry, which is part of the admission.
    """
    assert source.api_key is not None
    fields = generation_request.fields_of(source)
    model = video_models.get(source.model)
    if model is None:
        raise errors.ModelUnknown(model=source.model)
    states.refuse_retired(model, states.of(model))
    if seed is not None:
        fields["seed"] = seed
    request = GenerationRequest(model, _check_again(model, fields), rerun_of=source.pk)
    return _create(source.api_key, request, None, audit_entry).generation


def _count_refusal(key: ApiKey, refusal: LimitReached | TenantSuspended) -> None:
    """Count a refused create for the metrics, and for the panel, which names the tenant and the key."""
    limit_name = refusal.facts.get("limit_name", RefusalCount.SUSPENDED)
    metrics.REFUSED.labels(limit_name).inc()
    refusals.count(key, limit_name)


def _check_again(model: VideoModel, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a request that was taken before. Raise NotPossible if the model no longer takes it."""
    try:
        return request_check.check(model, fields)
    except request_check.BadRequest as error:
        raise NotPossible(reason=str(error)) from error


def _create_once(key: ApiKey, request: GenerationRequest, idempotency_key: IdempotencyKey) -> Accepted:
    """Return the generation that the idempotency key created before, or create it."""
    if existing := idempotency.find_existing(key, idempotency_key):
        return Accepted(existing, [], is_replay=True)
    try:
        return _create(key, request, idempotency_key)
    except (LimitReached, ModelNotAllowed, errors.ModelRetired, IntegrityError):
        # Another request with this key was admitted first, and may have used the last of a limit.
        if existing := idempotency.find_existing(key, idempotency_key):
            return Accepted(existing, [], is_replay=True)
        raise


def _create(
    key: ApiKey,
    request: GenerationRequest,
    idempotency_key: IdempotencyKey | None,
    audit_entry: AuditEntry | None = None,
) -> Accepted:
    """Create the generation under a trace span, and count it in the metrics."""
    quotes.check_model(key, request.model)
    began = time.monotonic()
    with tracing.start_span("create", tenant=key.tenant_id, test=key.test) as span:
        accepted = _store_and_admit(key, request, idempotency_key, audit_entry, span.traceparent)
        _announce(accepted.generation, span, time.monotonic() - began)
    return accepted


def _announce(generation: Generation, span: tracing.Span, seconds: float) -> None:
    """Wake a worker, and count the create, which took so long. Log what fails: the generation is committed."""
    try:
        wakeups.wake_worker()
        span.set_attributes(generation=str(generation.pk))
        metrics.ACCEPT.observe(seconds)
        metrics.ACCEPTED.labels(metrics.mode(test=generation.test), video_models.label(generation.model)).inc()
    except Exception:
        log.exception("a create could not be announced or counted", generation=str(generation.pk))


def _store_and_admit(
    key: ApiKey,
    request: GenerationRequest,
    idempotency_key: IdempotencyKey | None,
    audit_entry: AuditEntry | None,
    traceparent: str,
) -> Accepted:
    """Check the images before anything is stored, store them, and admit the generation."""
    checked = request_images.check(request)
    generation = _draft(key, request)
    generation.traceparent = traceparent
    if idempotency_key:
        generation.idempotency_key, generation.idempotency_digest = idempotency_key.key, idempotency_key.digest
    if request_images.have_bytes(checked):
        # A request that the limits refuse leaves no image in the bucket.
        admission.check_capacity(key, record.charges(generation))
    request_images.store(generation, checked)
    limit_usage = _admit(generation, checked, [audit_entry(generation)] if audit_entry else [])
    return Accepted(generation, limit_usage)


def _admit(generation: Generation, checked: CheckedImages, audit_entries: Sequence[Statement]) -> list[LimitUsage]:
    """Admit the generation: row, hold and counters are committed together, or nothing is.

    If an input image was deleted since it was stored, store it again and try again. At last raise ChangedConcurrently.
    """
    for _ in range(MAX_TRIES):
        try:
            return record.admit_and_record(generation, audit_entries)
        except admission.RequiredRowMissing:
            request_images.store(generation, checked)
    raise ChangedConcurrently(retry_after=admission.RETRY_AFTER_SECONDS)


def _draft(key: ApiKey, request: GenerationRequest) -> Generation:
    """Return the row of the new generation, unsaved and without images."""
    seed, seed_source = _choose_seed(request.model, request.values.get("seed"))
    now = clock.now()
    columns = {**request.columns, "prompt": request.values.get("prompt") or "", "seed": seed}
    draft = Generation(
        id=ids.new_at(now),
        tenant=key.tenant,
        api_key=key,
        test=key.test,
        created_at=now,
        model=request.model.id,
        seed_source=seed_source,
        parameters=request.parameters,
        external_id=request.external_id,
        metadata=request.metadata,
        rerun_of=request.rerun_of,
        **columns,
        webhook_url=request.webhook.url if request.webhook else "",
        webhook_format=request.webhook.format if request.webhook else Generation.WebhookFormat.STANDARD,
        **prices.columns(request.model, request.values, test=key.test),
    )
    draft.first_eta = eta.remaining(draft)
    return draft


def _choose_seed(model: VideoModel, requested: int | None) -> tuple[int | None, Generation.SeedSource]:
    """Return the requested seed, or draw one: a generation has a concrete seed before it is submitted.

    A model without a seed has none.
    """
    if not model.has_seed:
        return None, Generation.SeedSource.NONE
    if requested is None or requested == RANDOM_SEED:
        return random.randint(model.min_seed, model.max_seed), Generation.SeedSource.DRAWN  # noqa: S311  # no secret
    return requested, Generation.SeedSource.CALLER
