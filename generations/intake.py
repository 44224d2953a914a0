"""RECORD: the one intake behind both entrances. What it returns is durable, and has taken its room and its hold."""

import secrets
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from generations import catalog, errors, inputs, lifecycle, queue, quota
from generations.images import Image
from generations.models import Generation, InputImage
from tenants.errors import TenantSuspended
from tenants.models import ApiKey

Source = Generation.SeedSource


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for, its fields already checked against the catalog."""

    image: str  # URL, Base64 or data URI
    resolution: str
    aspect_ratio: str
    duration: int  # seconds
    prompt: str
    last_image: str | None
    camera_fixed: bool
    seed: int | None  # None and -1: draw one
    model: catalog.Model = catalog.SEEDANCE_V1_LITE_I2V


def accept(key: ApiKey, wanted: Wanted) -> Generation:
    """The generation, committed. Raises BadImage, LimitReached, TenantSuspended or StorageTrouble."""
    if key.tenant.suspended_at:
        raise TenantSuspended
    generation = _draft(key, wanted)
    charges = quota.charges(generation.price_micro, generation.created_at)
    with transaction.atomic():
        lifecycle.record(generation, charges)
        quota.admit(generation.tenant_id, charges)
    queue.ring()
    return generation


def _draft(key: ApiKey, wanted: Wanted) -> Generation:
    checked = {name: _checked(name, getattr(wanted, name)) for name in ("image", "last_image")}
    seed, seed_source = _seed(wanted.seed)
    return Generation(
        tenant=key.tenant,
        api_key=key,
        created_at=timezone.now(),
        model=wanted.model.name,
        prompt=wanted.prompt,
        resolution=wanted.resolution,
        aspect_ratio=wanted.aspect_ratio,
        duration=wanted.duration,
        camera_fixed=wanted.camera_fixed,
        seed=seed,
        seed_source=seed_source,
        image=_kept(key.tenant_id, checked["image"]),
        image_url=_url(checked["image"]),
        last_image=_kept(key.tenant_id, checked["last_image"]),
        last_image_url=_url(checked["last_image"]),
        price_micro=wanted.model.price_micro(wanted.resolution, wanted.aspect_ratio, wanted.duration),
    )


def _seed(given: int | None) -> tuple[int, Source]:
    """Always a concrete number, known before the upstream hears of it."""
    if given is None or given == catalog.RANDOM_SEED:
        return secrets.randbelow(catalog.SEED_MAX + 1), Source.DRAWN
    return given, Source.CALLER


def _checked(field: str, text: str | None) -> str | Image | None:
    try:
        return inputs.from_text(text) if text else None
    except errors.BadImage as error:
        error.field = field
        raise


def _kept(tenant_id: int, checked: str | Image | None) -> InputImage | None:
    return inputs.keep(tenant_id, checked) if isinstance(checked, Image) else None


def _url(checked: str | Image | None) -> str:
    return checked if isinstance(checked, str) else ""
