"""Create, change, disable and delete webhook endpoints, and rotate their secrets.

Each function is one transaction with one audit entry. Callers of the API act as `key:PREFIX`. The service itself, which
disables endpoints that fail for days, acts as `service`. A function first locks the row that it changes: each delivery
to the endpoint ends wholly before the change or wholly after the change.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from generations import single_line
from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.models.webhooks import SigningSecret
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused
from generations.webhooks import deliveries, encryption, outbox, signing_secrets
from tenants import actions, audit, locks
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import NotPossible
from tenants.models import Tenant

log = structlog.stdlib.get_logger(__name__)

MAX_ENDPOINTS = 20  # of a tenant in one mode: each endpoint multiplies the rows that a transition writes
MAX_WAITING_TESTS = 10  # test events of one endpoint that are not sent yet
MAX_DESCRIPTION_CHARS = 200  # the column's length
DISABLE_AFTER = timedelta(days=5)  # without a successful delivery
SERVICE = "service"
FAILED_REASON = "No delivery has succeeded for 5 days."
GONE_REASON = "The receiver answered 410 Gone."


def create(
    actor: Actor, tenant: Tenant, url: str, *, test: bool, events: Sequence[str] = (), description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint. Return the endpoint and its secret, which is shown only now. Raise NotPossible."""
    values = {"url": url, "events": _check_events(events), "description": _check_description(description)}
    _check_url(url)
    secret = signing_secrets.new_secret()
    with transaction.atomic():
        locked = locks.lock_tenant(tenant.pk)
        if WebhookEndpoint.objects.filter(tenant=locked, test=test, deleted_at=None).count() >= MAX_ENDPOINTS:
            raise NotPossible(reason=f"There are {MAX_ENDPOINTS} webhook endpoints already; delete one first.")
        endpoint = WebhookEndpoint.objects.create(tenant=locked, test=test, secret=encryption.encrypt(secret), **values)
        audit.record(actor, "create webhook endpoint", locked, str(endpoint.pk), {**values, "test": test})
    return endpoint, secret


def change(actor: Actor, endpoint: WebhookEndpoint, **changes: Any) -> WebhookEndpoint:
    """Set the endpoint's url, events or description. Raise NotPossible for a wrong value.

    Pending deliveries to the endpoint are sent to the new URL.
    """
    if "url" in changes:
        _check_url(changes["url"])
    if "events" in changes:
        changes["events"] = _check_events(changes["events"])
    _check_description(changes.get("description", ""))
    return _update(actor, "change webhook endpoint", endpoint, **changes)


def enable(actor: Actor, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Enable a disabled endpoint. Deliveries that failed in the meantime stay failed; each can be redelivered."""
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at is None:
            return locked
        return _update(
            actor, "enable webhook endpoint", locked, disabled_at=None, disabled_reason="", failing_since=None
        )


def disable(actor: Actor, endpoint: WebhookEndpoint, reason: str = "") -> WebhookEndpoint:
    """Disable the endpoint and mark its pending deliveries as failed.

    If the service itself disables an endpoint, the tenant's other endpoints receive an event.
    """
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at or locked.deleted_at:
            return locked
        disabled = _update(actor, "disable webhook endpoint", locked, disabled_at=clock.now(), disabled_reason=reason)
        deliveries.fail_pending(disabled)
        if actor.name == SERVICE:
            others = outbox.subscribed_endpoints(disabled.tenant_id, disabled.test, outbox.DISABLED)
            data = {"endpoint_id": str(disabled.pk), "reason": reason, "test": disabled.test}
            outbox.publish_to(others, outbox.DISABLED, data)
            log.warning(
                "a webhook endpoint is disabled", endpoint=str(disabled.pk), tenant=disabled.tenant_id, reason=reason
            )
    return disabled


def delete(actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Delete the endpoint and its secrets, and mark its pending deliveries as failed. The delivery log stays."""
    with transaction.atomic():
        if lock(endpoint).deleted_at:
            return
        deleted = _update(actor, "delete webhook endpoint", endpoint, deleted_at=clock.now())
        WebhookEndpoint.objects.filter(pk=deleted.pk).update(secret="", previous_secret="", previous_until=None)
        deliveries.fail_pending(deleted)


def rotate_secret(
    actor: Actor, endpoint: WebhookEndpoint, overlap: timedelta = signing_secrets.DEFAULT_OVERLAP
) -> tuple[str, datetime | None]:
    """Replace the endpoint's secret. Return the new secret, which is shown only now, and the end of the overlap.

    The old secret also signs until that end. None means that the old secret no longer signs.
    """
    with transaction.atomic():
        locked = lock(endpoint)
        return _rotate(actor, "rotate webhook secret", locked.tenant, str(locked.pk), locked, overlap)


def rotate_tenant_secret(
    actor: Actor, tenant: Tenant, *, test: bool, overlap: timedelta = signing_secrets.DEFAULT_OVERLAP
) -> tuple[str, datetime | None]:
    """Replace the secret that signs deliveries to the own webhooks of generations. Return as `rotate_secret` does."""
    with transaction.atomic():
        existing = signing_secrets.ensure_for_tenant(tenant.pk, test)
        locked = WebhookSecret.objects.select_for_update(no_key=True).get(pk=existing.pk)
        return _rotate(actor, "rotate tenant's webhook secret", tenant, tenant.name, locked, overlap)


def send_test(endpoint: WebhookEndpoint) -> Delivery:
    """Publish a test event to this endpoint alone. Return the stored delivery. Raise NotPossible."""
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at:
            raise NotPossible(reason="The endpoint is disabled: enable it first.")
        waiting = Delivery.objects.filter(endpoint=locked, due_at__isnull=False, type=outbox.TEST).count()
        if waiting >= MAX_WAITING_TESTS:
            raise NotPossible(reason=f"{waiting} test events are already waiting for this endpoint.")
        data = {"endpoint_id": str(locked.pk), "test": locked.test}
        [delivery] = outbox.publish_to([locked], outbox.TEST, data)
    return delivery


def redeliver(actor: Actor, delivery: Delivery) -> None:
    """Send the same message again, with the same id and a new schedule.

    Raise NotPossible if the endpoint is disabled or deleted, or if the address was forgotten with its generation.
    """
    with transaction.atomic():
        locked = lock(delivery.endpoint) if delivery.endpoint else None
        if locked and (locked.disabled_at or locked.deleted_at):
            raise NotPossible(reason=f"The endpoint is {'deleted' if locked.deleted_at else 'disabled'}.")
        if locked is None and delivery.generation and delivery.generation.deleted_at:
            raise NotPossible(reason="The generation was deleted, and the address of its webhook with it.")
        deliveries.redeliver(delivery)
        audit.record(actor, "redeliver webhook", delivery.tenant, str(delivery.pk), {"type": delivery.type})


def redeliver_failed(actor: Actor, endpoint: WebhookEndpoint) -> int:
    """Send all failed deliveries of the endpoint again, with the same ids. Return their number.

    Raise NotPossible if the endpoint is disabled or deleted.
    """
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at or locked.deleted_at:
            raise NotPossible(reason=f"The endpoint is {'deleted' if locked.deleted_at else 'disabled'}.")
        count = deliveries.redeliver_failed(locked)
        audit.record(actor, "redeliver failed webhooks", locked.tenant, str(locked.pk), {"count": count})
    return count


def record_success(endpoint: WebhookEndpoint) -> None:
    """Record that a delivery to the endpoint succeeded: the endpoint is not failing any more."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__isnull=False).update(failing_since=None)


def record_failure(endpoint: WebhookEndpoint) -> bool:
    """Record that a delivery to the endpoint failed. Return True if the endpoint has failed for DISABLE_AFTER."""
    now = clock.now()
    if WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since=None).update(failing_since=now):
        return False
    return WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__lte=now - DISABLE_AFTER).exists()


def lock(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Lock the endpoint's row until the transaction ends. Return the endpoint as it is now."""
    rows = WebhookEndpoint.objects.select_related("tenant").select_for_update(no_key=True, of=("self",))
    return rows.get(pk=endpoint.pk)


def _rotate(
    actor: Actor, action: str, tenant: Tenant, target: str, row: SigningSecret, overlap: timedelta
) -> tuple[str, datetime | None]:
    """Replace the row's secret and write the audit entry. Raise NotPossible if the overlap is out of bounds."""
    if not timedelta(0) <= overlap <= signing_secrets.MAX_OVERLAP:
        raise NotPossible(reason=f"The overlap must be from 0 to {signing_secrets.MAX_OVERLAP.days} days.")
    until = clock.now() + overlap if overlap else None
    secret = signing_secrets.rotate(row, until)
    audit.record(actor, action, tenant, target, {"overlap_hours": overlap / timedelta(hours=1)})
    return secret, until


def _update(actor: Actor, action: str, endpoint: WebhookEndpoint, **changes: Any) -> WebhookEndpoint:
    """Lock the endpoint, set the changed columns and write the audit entry. Return the endpoint as it is now."""
    with transaction.atomic():
        locked = lock(endpoint)
        actions.save_changes(actor, action, locked.tenant, str(locked.pk), locked, changes)
    return locked


def _check_events(events: Sequence[str]) -> list[str]:
    """Return each event type once, in the order of the documentation. Raise NotPossible for an unknown type."""
    if unknown := set(events) - set(outbox.EVENT_TYPES):
        raise NotPossible(reason=f"There is no event type {sorted(unknown)[0]!r}.")
    return [event_type for event_type in outbox.EVENT_TYPES if event_type in events]


def _check_description(description: str) -> str:
    """Return the description. Raise NotPossible if it is too long or holds a character that can not be printed."""
    if len(description) > MAX_DESCRIPTION_CHARS or not single_line.matches(description):
        raise NotPossible(reason=f"A description has at most {MAX_DESCRIPTION_CHARS} printable characters.")
    return description


def _check_url(url: str) -> None:
    """Raise NotPossible if the service may not call the URL."""
    try:
        addresses.check_url(url)
    except FetchRefused as error:
        raise NotPossible(reason=f"This URL can not be called: {error}.") from error
