"""Rows that the tests begin with: tenants with a key and a client, input images, queued generations."""

import hashlib
from typing import Any

from django.utils import timezone

from generations.catalog import prices, video_models
from generations.intake import record
from generations.models import Generation, InputImage
from tenants import actions, audit
from tenants.models import ApiKey, Tenant
from tests import http_client

ACTOR = audit.Actor(name="tests")


class Caller:
    """A tenant with a key, and an HTTP client that uses the key."""

    def __init__(self, tenant: str | Tenant, **facts: Any) -> None:
        self.tenant = actions.create_tenant(ACTOR, tenant) if isinstance(tenant, str) else tenant
        new = actions.create_key(ACTOR, self.tenant, **facts)
        self.key_text = new.text
        self.key = ApiKey.objects.get(prefix=new.prefix)
        self.http = http_client.with_key(new.text)

    def limit(self, **limits: int | None) -> None:
        """Set limits of the tenant; None removes one."""
        self.tenant = actions.change_tenant(ACTOR, self.tenant, **limits)

    def limit_key(self, **limits: int | None) -> None:
        """Set limits of the key alone; None removes one."""
        self.key = actions.change_key(ACTOR, self.key, **limits)

    def with_key(self, **facts: Any) -> "Caller":
        """Return a caller of the same tenant by another, new key."""
        return Caller(self.tenant, **facts)


def make_image(tenant: Tenant, content: bytes = b"abc") -> InputImage:
    """Return the row of an input image. Its bytes are not in the bucket: a test that needs them puts them there."""
    sha256 = hashlib.sha256(content).hexdigest()
    shape = {"format": "jpeg", "width": 640, "height": 360, "size": 3}
    image, _ = InputImage.objects.get_or_create(
        tenant=tenant, sha256=sha256, defaults={"key": f"inputs/{tenant.pk}/{sha256}", **shape}
    )
    return image


def make_generation(caller: Caller, **facts: Any) -> Generation:
    """Return a queued generation with its hold, as intake records it, without S3 and without a wake-up.

    `facts` are columns. Those of the model's request that are not among them have plain values, and the price follows.
    """
    model = video_models.get(facts.get("model", "")) or video_models.default()
    usual = {"resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "camera_fixed": False, "seed": 7}
    values = {name: facts.get(name, value if name in model.fields else None) for name, value in usual.items()}
    defaults = {name: field.row.default for name, field in model.fields.items() if field.row.default is not None}
    others = {name: value for name, value in defaults.items() if name not in Generation.REQUEST_COLUMNS}
    parameters = {**others, **facts.pop("parameters", {})}
    columns = {
        "tenant": caller.tenant,
        "api_key": caller.key,
        "test": caller.key.test,
        "created_at": timezone.now(),
        "model": model.id,
        **values,
        "parameters": parameters,
        "seed_source": "caller" if model.has_seed else "none",
        "image": make_image(caller.tenant) if model.image_fields else None,
    }
    if "price_micro" not in facts:
        columns |= prices.columns(model, {**values, **parameters}, test=False)
    generation = Generation(**{**columns, **facts})
    generation.api_key = ApiKey.objects.select_related("tenant").get(pk=caller.key.pk)
    record.admit_and_record(generation)
    return generation
