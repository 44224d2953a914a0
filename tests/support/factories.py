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
    """Return a queued generation with its hold, as intake records it, without S3 and without a wake-up."""
    model = video_models.default()
    generation = Generation(
        **{
            "tenant": caller.tenant,
            "api_key": caller.key,
            "test": caller.key.test,
            "created_at": timezone.now(),
            "model": model.id,
            "resolution": "480p",
            "aspect_ratio": "16:9",
            "duration": 5,
            "camera_fixed": False,
            "seed": 7,
            "seed_source": "caller",
            "image": make_image(caller.tenant),
            "price_micro": prices.price_micro(
                model, {"resolution": "480p", "aspect_ratio": "16:9", "duration": 5, **facts}
            ),
            **facts,
        }
    )
    generation.api_key = ApiKey.objects.select_related("tenant").get(pk=caller.key.pk)
    record.admit_and_record(generation)
    return generation
