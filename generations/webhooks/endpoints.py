"""Where a tenant is told of its generations: a function an act, each in one transaction with its line in the audit log.

The callers of the API act here as `key:PREFIX`, the service itself, which disables what fails for days, as `service`.
An act locks the row of what it changes first: deliveries to it end wholly before, or wholly after.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from generations import single_line
from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.models.webhooks import Signing
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused
from generations.webhooks import deliveries, encryption, signing_secrets
from tenants import actions
from tenants.actions import Actor
from tenants.errors import NotPossible
from tenants.models import Tenant
from tenants.money import ledger

log = structlog.stdlib.get_logger(__name__)

MOST = 20  # endpoints of a tenant in one world: each multiplies what a move writes
MOST_TESTS = 10  # test events of an endpoint that wait at once
OVERLAP, LONGEST_OVERLAP = timedelta(hours=24), timedelta(days=7)  # in which two secrets sign
FAILS_FOR = timedelta(days=5)  # without a success, and it is disabled
SERVICE = "service"
FAILED = "No delivery has succeeded for 5 days."
GONE = "It answered 410 Gone."


def create(
    actor: Actor, tenant: Tenant, url: str, *, test: bool, events: Sequence[str] = (), description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """The endpoint, and its secret, which is told this once. Raises NotPossible."""
    facts = {"url": url, "events": _known(events), "description": _checked(description)}
    _check_url(url)
    secret = signing_secrets.fresh()
    with transaction.atomic():
        locked = ledger.lock_tenant(tenant.pk)
        if WebhookEndpoint.objects.filter(tenant=locked, test=test, deleted_at=None).count() >= MOST:
            raise NotPossible(reason=f"There are {MOST} webhook endpoints already; delete one first.")
        made = WebhookEndpoint.objects.create(tenant=locked, test=test, secret=encryption.seal(secret), **facts)
        actions.note(actor, "create webhook endpoint", locked, str(made.pk), {**facts, "test": test})
    return made, secret


def change(actor: Actor, endpoint: WebhookEndpoint, **wanted: Any) -> WebhookEndpoint:
    """Set its url, events or description. What is under way to it goes to the new address."""
    if "url" in wanted:
        _check_url(wanted["url"])
    if "events" in wanted:
        wanted["events"] = _known(wanted["events"])
    _checked(wanted.get("description", ""))
    return _set(actor, "change webhook endpoint", endpoint, **wanted)


def enable(actor: Actor, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """What failed meanwhile is not sent by that: each delivery can be sent again."""
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at is None:
            return locked
        return _set(actor, "enable webhook endpoint", locked, disabled_at=None, disabled_reason="", failing_since=None)


def disable(actor: Actor, endpoint: WebhookEndpoint, reason: str = "") -> WebhookEndpoint:
    """What is under way to it has failed. Where the service did it, the tenant's other endpoints are told."""
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at or locked.deleted_at:
            return locked
        done = _set(actor, "disable webhook endpoint", locked, disabled_at=timezone.now(), disabled_reason=reason)
        deliveries.end_pending(done)
        if actor.name == SERVICE:
            told = deliveries.listeners(done.tenant_id, done.test, deliveries.DISABLED)
            facts = {"endpoint_id": str(done.pk), "reason": reason, "test": done.test}
            deliveries.tell(told, deliveries.DISABLED, facts)
            log.warning("a webhook endpoint is disabled", endpoint=str(done.pk), tenant=done.tenant_id, reason=reason)
    return done


def delete(actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Its deliveries stay in the log; what was under way has failed. Its secret is gone."""
    with transaction.atomic():
        if lock(endpoint).deleted_at:
            return
        done = _set(actor, "delete webhook endpoint", endpoint, deleted_at=timezone.now())
        WebhookEndpoint.objects.filter(pk=done.pk).update(secret="", previous_secret="", previous_until=None)
        deliveries.end_pending(done)


def rotate_secret(actor: Actor, endpoint: WebhookEndpoint, overlap: timedelta = OVERLAP) -> tuple[str, datetime | None]:
    """A new secret, told this once; and until when the old one signs too, None where it does so no longer."""
    with transaction.atomic():
        locked = lock(endpoint)
        return _rotate(actor, "rotate webhook secret", locked.tenant, str(locked.pk), locked, overlap)


def rotate_tenant_secret(
    actor: Actor, tenant: Tenant, *, test: bool, overlap: timedelta = OVERLAP
) -> tuple[str, datetime | None]:
    """As `rotate_secret`, for the one that signs what goes to the `webhook_url`s of single generations."""
    with transaction.atomic():
        kept = signing_secrets.of_tenant(tenant.pk, test)
        locked = WebhookSecret.objects.select_for_update(no_key=True).get(pk=kept.pk)
        return _rotate(actor, "rotate tenant's webhook secret", tenant, tenant.name, locked, overlap)


def send_test(endpoint: WebhookEndpoint) -> Delivery:
    """A test event, to this endpoint alone. Raises NotPossible."""
    with transaction.atomic():
        locked = lock(endpoint)
        if locked.disabled_at:
            raise NotPossible(reason="The endpoint is disabled: enable it first.")
        waiting = Delivery.objects.filter(endpoint=locked, due_at__isnull=False, type=deliveries.TEST).count()
        if waiting >= MOST_TESTS:
            raise NotPossible(reason=f"{waiting} test events wait for this endpoint already.")
        [sent] = deliveries.tell([locked], deliveries.TEST, {"endpoint_id": str(locked.pk), "test": locked.test})
    return sent


def redeliver(actor: Actor, delivery: Delivery) -> None:
    """The same message, with its id, and the schedule begun anew. Raises NotPossible where nobody would be sent it."""
    with transaction.atomic():
        locked = lock(delivery.endpoint) if delivery.endpoint else None
        if locked and (locked.disabled_at or locked.deleted_at):
            raise NotPossible(reason=f"Its endpoint is {'deleted' if locked.deleted_at else 'disabled'}.")
        deliveries.redeliver(delivery)
        actions.note(actor, "redeliver webhook", delivery.tenant, str(delivery.pk), {"type": delivery.type})


def mark_working(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__isnull=False).update(failing_since=None)


def record_failure(endpoint: WebhookEndpoint) -> bool:
    """Note that a delivery failed. Return whether the endpoint has failed for so long that it is to be disabled."""
    now = timezone.now()
    if WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since=None).update(failing_since=now):
        return False
    return WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__lte=now - FAILS_FOR).exists()


def lock(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint as it is now; until the transaction ends nobody else changes it."""
    rows = WebhookEndpoint.objects.select_related("tenant").select_for_update(no_key=True, of=("self",))
    return rows.get(pk=endpoint.pk)


def _rotate(
    actor: Actor, action: str, tenant: Tenant, target: str, signing: Signing, overlap: timedelta
) -> tuple[str, datetime | None]:
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise NotPossible(reason=f"An overlap is from 0 to {LONGEST_OVERLAP.days} days.")
    until = timezone.now() + overlap if overlap else None
    secret = signing_secrets.renew(signing, until)
    actions.note(actor, action, tenant, target, {"overlap_hours": overlap / timedelta(hours=1)})
    return secret, until


def _set(actor: Actor, action: str, endpoint: WebhookEndpoint, **wanted: Any) -> WebhookEndpoint:
    with transaction.atomic():
        locked = lock(endpoint)
        actions.record_changes(actor, action, locked.tenant, str(locked.pk), locked, wanted)
    return locked


def _known(events: Sequence[str]) -> list[str]:
    """Each once, in the order of the documentation."""
    if unknown := set(events) - set(deliveries.TYPES):
        raise NotPossible(reason=f"There is no event type {sorted(unknown)[0]!r}.")
    return [kind for kind in deliveries.TYPES if kind in events]


def _checked(description: str) -> str:
    if len(description) > 200 or not single_line.is_line(description):
        raise NotPossible(reason="A description has at most 200 printable characters.")
    return description


def _check_url(url: str) -> None:
    try:
        addresses.check_url(url)
    except FetchRefused as error:
        raise NotPossible(reason=f"That URL can not be called: {error}.") from error
