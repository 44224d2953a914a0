"""Claim the deliveries to send next. A dead, slow or hostile receiver holds few threads and delays no others.

At most 2 POSTs go to one receiver at once, and at most 4 to the receivers of one tenant. Failing receivers get half of
the threads in all; the others get the rest. Half of each share is reserved for tenants that have nothing in flight. A
receiver is an endpoint, or the host of a generation's own webhook. The counts are those of one worker run, and a worker
host has one run at a time.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from generations import leases
from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import deliveries
from tenants.db import clock
from tenants.models import Tenant

MAX_PER_RECEIVER, MAX_PER_TENANT = 2, 4  # POSTs at once
MAX_SCANNED = 50  # deliveries of a tenant to own webhooks, among which hosts with free capacity are looked for
MAX_TENANTS_PER_CLAIM = 32  # whose own webhooks one iteration reads


@dataclass(frozen=True)
class Candidate:
    """A delivery that may be claimed next, or that is in flight."""

    id: UUID
    tenant_id: int
    receiver: str
    is_failing: bool
    due_at: datetime


class Load:
    """The deliveries that are in flight, counted to see which candidates still fit beside them."""

    def __init__(self, in_flight: Iterable[Candidate]) -> None:
        """Start with the deliveries that are in flight."""
        self.total = self.failing = 0
        self.tenants: Counter[int] = Counter()
        self.receivers: Counter[tuple[int, str]] = Counter()
        for candidate in in_flight:
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        """Count one more delivery as in flight."""
        self.total += 1
        self.failing += candidate.is_failing
        self.tenants[candidate.tenant_id] += 1
        self.receivers[candidate.tenant_id, candidate.receiver] += 1

    def has_capacity_for(self, candidate: Candidate) -> bool:
        """Return whether the limits of threads, tenant and receiver allow one more such delivery."""
        threads, of_tenant = settings.DELIVERY_THREADS, self.tenants[candidate.tenant_id]
        if candidate.is_failing:
            used, share = self.failing, threads // 2
        else:
            used, share = self.total - self.failing, threads - self.failing
        return (
            self.total < threads
            and used < (share // 2 if of_tenant else share)
            and of_tenant < MAX_PER_TENANT
            and self.receivers[candidate.tenant_id, candidate.receiver] < MAX_PER_RECEIVER
        )


def claim(in_flight: Sequence[Candidate]) -> list[tuple[Candidate, Delivery]]:
    """Claim the due deliveries that fit beside those in flight, and return each with its candidate.

    A claim lasts for `leases.DELIVERY_LEASE`.
    """
    now = clock.now()
    load = Load(in_flight)
    if load.total >= settings.DELIVERY_THREADS or not deliveries.is_any_due(now):  # mostly nothing is due
        return []
    claimed: list[tuple[Candidate, Delivery]] = []
    for _ in range(MAX_PER_RECEIVER):  # one iteration finds the oldest delivery of each receiver
        chosen = _choose(load, [*_find_for_endpoints(now), *_find_for_own_webhooks(load, now)])
        if not chosen:
            break
        claimed += _claim_rows(chosen)
    return claimed


def _choose(load: Load, candidates: Sequence[Candidate]) -> dict[UUID, Candidate]:
    """Return the candidates that fit, by id, and add them to the load.

    Tenants with the fewest deliveries in flight come first, and then the deliveries that have waited longest.
    """
    chosen: dict[UUID, Candidate] = {}
    for _, candidate in sorted(_rank(load, candidates), key=lambda ranked: (ranked[0], ranked[1].due_at)):
        if load.has_capacity_for(candidate):
            load.add(candidate)
            chosen[candidate.id] = candidate
    return chosen


def _rank(load: Load, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Candidate]]:
    """Yield each candidate with the number of the same tenant's deliveries that come before it."""
    before = Counter(load.tenants)
    for candidate in sorted(candidates, key=lambda candidate: candidate.due_at):
        yield before[candidate.tenant_id], candidate
        before[candidate.tenant_id] += 1


def _find_for_endpoints(now: datetime) -> Iterator[Candidate]:
    """Yield the oldest due delivery of each enabled endpoint."""
    oldest = Delivery.objects.filter(endpoint=OuterRef("pk"), due_at__lte=now).order_by("due_at")
    endpoints = WebhookEndpoint.objects.filter(disabled_at=None, deleted_at=None)
    endpoints = endpoints.annotate(
        due=Subquery(oldest.values("due_at")[:1]), delivery=Subquery(oldest.values("pk")[:1])
    )
    rows = endpoints.filter(due__isnull=False).values_list("delivery", "tenant_id", "pk", "failing_since", "due")
    for delivery_id, tenant_id, endpoint_id, failing_since, due_at in rows:
        yield Candidate(delivery_id, tenant_id, str(endpoint_id), failing_since is not None, due_at)


def _find_for_own_webhooks(load: Load, now: datetime) -> Iterator[Candidate]:
    """Yield the oldest due delivery of each host of own webhooks, for a random choice of tenants with capacity."""
    # The order lets PostgreSQL read each row off its index: for an EXISTS it would search the table.
    due = Delivery.objects.filter(tenant=OuterRef("pk"), endpoint=None, due_at__lte=now).order_by("due_at")
    first, again = (due.filter(attempts).values("pk")[:1] for attempts in (Q(attempts=0), Q(attempts__gt=0)))
    rows = Tenant.objects.annotate(first=Subquery(first), again=Subquery(again))
    waiting = rows.filter(Q(first__isnull=False) | Q(again__isnull=False)).values_list("pk", flat=True)
    tenant_ids = [tenant_id for tenant_id in waiting if load.tenants[tenant_id] < MAX_PER_TENANT]
    count = min(MAX_TENANTS_PER_CLAIM, len(tenant_ids))
    for tenant_id in random.sample(tenant_ids, count):  # at random, so that no tenant is left out for long
        yield from _find_for_hosts(tenant_id, now)


def _find_for_hosts(tenant_id: int, now: datetime) -> Iterator[Candidate]:
    """Yield the tenant's oldest due delivery to each host.

    A host is failing while a delivery to it waits for another attempt.
    """
    rows = Delivery.objects.filter(tenant=tenant_id, endpoint=None, due_at__isnull=False).order_by("due_at")
    retries = list(_read_hosts(rows.filter(attempts__gt=0)))
    failing_hosts = {host for host, *_ in retries}
    yielded: set[str] = set()
    for host, delivery_id, due_at in sorted([*retries, *_read_hosts(rows.filter(attempts=0))], key=itemgetter(2)):
        if due_at <= now and host not in yielded:
            yielded.add(host)
            yield Candidate(delivery_id, tenant_id, host, host in failing_hosts, due_at)


def _read_hosts(rows: Any) -> Iterator[tuple[str, UUID, datetime]]:
    """Yield host, id and due time of the first MAX_SCANNED deliveries."""
    for delivery_id, url, due_at in rows.values_list("pk", "url", "due_at")[:MAX_SCANNED]:
        yield urlsplit(url).hostname or "", delivery_id, due_at


def _claim_rows(chosen: dict[UUID, Candidate]) -> list[tuple[Candidate, Delivery]]:
    """Claim those of the chosen deliveries that no other worker has claimed first. Return them."""
    now = clock.now()
    with transaction.atomic():
        rows = Delivery.objects.filter(pk__in=chosen, due_at__lte=now)
        ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ids).update(
            due_at=now + leases.DELIVERY_LEASE, fencing_token=F("fencing_token") + 1
        )
        claimed = list(Delivery.objects.filter(pk__in=ids).select_related("endpoint", "generation"))
    return [(chosen[delivery.pk], delivery) for delivery in claimed]
