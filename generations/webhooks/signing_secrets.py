"""Create, rotate and read the secrets that sign deliveries.

Each endpoint has a secret. Each tenant has one more in each mode, for the own webhooks of generations. A caller sees a
secret only when it is created; the database stores the secret encrypted.
"""

import base64
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.models.webhooks import SigningSecret
from generations.webhooks import encryption
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

DEFAULT_OVERLAP, MAX_OVERLAP = timedelta(hours=24), timedelta(days=7)  # while two secrets sign
SECRET_BYTES = 32  # random bytes; the Standard Webhooks spec allows 24 to 64


def new_secret() -> str:
    """Return a new random secret in the format of the Standard Webhooks spec."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def for_delivery(delivery: Delivery) -> list[str]:
    """Return the secrets that sign the delivery, newest first.

    Raise KeyLost if the newest secret can not be decrypted. A previous secret that can not be decrypted is left out.
    """
    row: SigningSecret = delivery.endpoint or ensure_for_tenant(delivery.tenant_id, delivery.test)
    return [encryption.decrypt(row.secret), *_read_previous(row)]


def rotate(row: SigningSecret, until: datetime | None) -> str:
    """Replace the row's secret and return the new one.

    The old secret also signs until the time `until`; None ends its use at once. A still older secret ends in any case.
    """
    secret = new_secret()
    row.previous_secret, row.previous_until = row.secret if until else "", until
    row.secret = encryption.encrypt(secret)
    row.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def ensure_for_tenant(tenant_id: int, test: bool) -> WebhookSecret:
    """Return the tenant's secret for own webhooks in one mode. Create the secret if there is none.

    A secret created here was never shown. The tenant can verify signatures only after a rotation.
    """
    values = {"secret": encryption.encrypt(new_secret())}
    return WebhookSecret.objects.get_or_create(tenant_id=tenant_id, test=test, defaults=values)[0]


def reencrypt_all() -> tuple[int, list[str]]:
    """Encrypt every stored secret by the present SECRET_KEY.

    Return how many rows were encrypted, and the names of the rows that no current key decrypts.
    """
    count, lost = 0, []
    with transaction.atomic():
        endpoints = WebhookEndpoint.objects.select_for_update(no_key=True).filter(deleted_at=None)
        rows: list[SigningSecret] = [*endpoints, *WebhookSecret.objects.select_for_update(no_key=True)]
        for row in rows:
            try:
                row.secret = encryption.reencrypt(row.secret)
                row.previous_secret = row.previous_secret and encryption.reencrypt(row.previous_secret)
            except encryption.KeyLost:
                lost.append(f"{type(row)._meta.verbose_name} {row.pk} of tenant {row.tenant_id}")
                continue
            row.save(update_fields=["secret", "previous_secret"])
            count += 1
    return count, lost


def _read_previous(row: SigningSecret) -> Iterator[str]:
    """Yield the secret before the present one, if that secret still signs and can be decrypted."""
    if row.previous_until is None or row.previous_until <= clock.now():
        return
    try:
        yield encryption.decrypt(row.previous_secret)
    except encryption.KeyLost:  # the loss may be the reason for the rotation
        log.error("the secret before the present one can not be opened", of=type(row).__name__, id=str(row.pk))
