"""The secrets that deliveries are signed by: an endpoint's own, and one of each tenant for what goes to the URLs of
single generations. A secret is told once, when it is made; here it is sealed.
"""

import base64
import secrets
from collections.abc import Iterator
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.models.webhooks import Signing
from generations.webhooks import encryption

log = structlog.stdlib.get_logger(__name__)

BYTES = 32  # random ones, of a secret; the spec has 24 to 64


def fresh() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def secrets_of(delivery: Delivery) -> list[str]:
    """What signs it, the newest first. Raises KeyLost where even that can not be opened."""
    signing: Signing = delivery.endpoint or of_tenant(delivery.tenant_id, delivery.test)
    return [encryption.opened(signing.secret), *_previous(signing)]


def renew(signing: Signing, until: datetime | None) -> str:
    """A new secret, told this once; until then the old one signs too. Of two old ones, the first no longer does."""
    secret = fresh()
    signing.previous_secret, signing.previous_until = signing.secret if until else "", until
    signing.secret = encryption.seal(secret)
    signing.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def of_tenant(tenant_id: int, test: bool) -> WebhookSecret:
    """Made where there is none yet: then nobody can check by it until it is rotated."""
    seal = {"secret": encryption.seal(fresh())}
    return WebhookSecret.objects.get_or_create(tenant_id=tenant_id, test=test, defaults=seal)[0]


def reseal() -> tuple[int, list[str]]:
    """Seal every secret by the present SECRET_KEY. How many were, and those that no known key opens."""
    done, lost = 0, []
    with transaction.atomic():
        kept: list[Signing] = [*WebhookEndpoint.objects.select_for_update(no_key=True).filter(deleted_at=None)]
        for signing in [*kept, *WebhookSecret.objects.select_for_update(no_key=True)]:
            try:
                signing.secret = encryption.resealed(signing.secret)
                signing.previous_secret = signing.previous_secret and encryption.resealed(signing.previous_secret)
            except encryption.KeyLost:
                lost.append(f"{type(signing)._meta.verbose_name} {signing.pk} of tenant {signing.tenant_id}")
                continue
            signing.save(update_fields=["secret", "previous_secret"])
            done += 1
    return done, lost


def _previous(signing: Signing) -> Iterator[str]:
    if signing.previous_until is None or signing.previous_until <= timezone.now():
        return
    try:
        yield encryption.opened(signing.previous_secret)
    except encryption.KeyLost:  # the new one was made because of that, perhaps
        log.error("the secret before the present one can not be opened", of=type(signing).__name__, id=str(signing.pk))
