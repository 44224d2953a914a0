"""Whose delivery is next. A receiver that is dead, slow or hostile holds few threads, and none that others need.

At most 2 posts at once go to one receiver and 4 to those of one tenant. What is failing has half of the threads in all,
and what is not has the rest; of each, half is kept for tenants that have none under way. A receiver is an endpoint, or
the host of a single generation's own URL. All of it is counted in one sweep: there is one a worker host.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from generations import leases
from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import deliveries
from tenants.models import Tenant

PER_RECEIVER, PER_TENANT = 2, 4  # at once
AHEAD = 50  # deliveries to single URLs of a tenant, among which those are looked for whose host is free
MOST_TENANTS = 32  # whose single URLs one look goes through


@dataclass(frozen=True)
class Candidate:
    """A delivery that may be next, or is under way."""

    id: UUID
    tenant_id: int
    receiver: str
    failing: bool
    due_at: datetime


class Load:
    """What is under way, and what there is room for beside it."""

    def __init__(self, under_way: Iterable[Candidate]) -> None:
        self.total = self.failing = 0
        self.tenants: Counter[int] = Counter()
        self.receivers: Counter[tuple[int, str]] = Counter()
        for candidate in under_way:
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        self.total += 1
        self.failing += candidate.failing
        self.tenants[candidate.tenant_id] += 1
        self.receivers[candidate.tenant_id, candidate.receiver] += 1

    def has_room_for(self, candidate: Candidate) -> bool:
        threads, of_tenant = settings.DELIVERY_THREADS, self.tenants[candidate.tenant_id]
        if candidate.failing:
            used, share = self.failing, threads // 2
        else:
            used, share = self.total - self.failing, threads - self.failing
        return (
            self.total < threads
            and used < (share // 2 if of_tenant else share)
            and of_tenant < PER_TENANT
            and self.receivers[candidate.tenant_id, candidate.receiver] < PER_RECEIVER
        )


def claim(under_way: Sequence[Candidate]) -> list[tuple[Candidate, Delivery]]:
    """What is to be sent now beside that, each now this caller's for `leases.DELIVERY_LEASE`."""
    now = timezone.now()
    load = Load(under_way)
    if load.total >= settings.DELIVERY_THREADS or not deliveries.is_any_due(now):  # most looks find nothing
        return []
    claimed: list[tuple[Candidate, Delivery]] = []
    for _ in range(PER_RECEIVER):  # a look finds the oldest of each receiver
        chosen = _chosen(load, [*_of_endpoints(now), *_of_single_urls(load, now)])
        if not chosen:
            break
        claimed += _taken(chosen)
    return claimed


def _chosen(load: Load, candidates: Sequence[Candidate]) -> dict[UUID, Candidate]:
    """Who has the fewest under way comes first, and then who waits longest. Adds them to the load."""
    chosen: dict[UUID, Candidate] = {}
    for _, candidate in sorted(_ranked(load, candidates), key=lambda one: (one[0], one[1].due_at)):
        if load.has_room_for(candidate):
            load.add(candidate)
            chosen[candidate.id] = candidate
    return chosen


def _ranked(load: Load, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Candidate]]:
    """Each with how many of its tenant would go before it."""
    before = Counter(load.tenants)
    for candidate in sorted(candidates, key=lambda one: one.due_at):
        yield before[candidate.tenant_id], candidate
        before[candidate.tenant_id] += 1


def _of_endpoints(now: datetime) -> Iterator[Candidate]:
    """The oldest that is due of each."""
    oldest = Delivery.objects.filter(endpoint=OuterRef("pk"), due_at__lte=now).order_by("due_at")
    rows = WebhookEndpoint.objects.filter(disabled_at=None, deleted_at=None)
    rows = rows.annotate(due=Subquery(oldest.values("due_at")[:1]), delivery=Subquery(oldest.values("pk")[:1]))
    facts = rows.filter(due__isnull=False).values_list("delivery", "tenant_id", "pk", "failing_since", "due")
    for delivery, tenant_id, pk, failing_since, due_at in facts:
        yield Candidate(delivery, tenant_id, str(pk), failing_since is not None, due_at)


def _of_single_urls(load: Load, now: datetime) -> Iterator[Candidate]:
    # Ordered, so that each is read off its index: to see that there is one, PostgreSQL would search the table.
    due = Delivery.objects.filter(tenant=OuterRef("pk"), endpoint=None, due_at__lte=now).order_by("due_at")
    first, again = (due.filter(tried).values("pk")[:1] for tried in (Q(attempts=0), Q(attempts__gt=0)))
    rows = Tenant.objects.annotate(first=Subquery(first), again=Subquery(again))
    waiting = rows.filter(Q(first__isnull=False) | Q(again__isnull=False)).values_list("pk", flat=True)
    tenants = [pk for pk in waiting if load.tenants[pk] < PER_TENANT]
    for pk in random.sample(tenants, min(MOST_TENANTS, len(tenants))):  # by lot, so that none is passed over for long
        yield from _of_tenant(pk, now)


def _of_tenant(tenant_id: int, now: datetime) -> Iterator[Candidate]:
    """The oldest that is due of each host. A host is failing while a delivery to it waits for another attempt."""
    rows = Delivery.objects.filter(tenant=tenant_id, endpoint=None, due_at__isnull=False).order_by("due_at")
    retried = list(_with_hosts(rows.filter(attempts__gt=0)))
    failing = {host for host, *_ in retried}
    seen: set[str] = set()
    for host, pk, due_at in sorted([*retried, *_with_hosts(rows.filter(attempts=0))], key=lambda one: one[2]):
        if due_at <= now and host not in seen:
            seen.add(host)
            yield Candidate(pk, tenant_id, host, host in failing, due_at)


def _with_hosts(rows: Any) -> Iterator[tuple[str, UUID, datetime]]:
    for pk, url, due_at in rows.values_list("pk", "url", "due_at")[:AHEAD]:
        yield urlsplit(url).hostname or "", pk, due_at


def _taken(chosen: dict[UUID, Candidate]) -> list[tuple[Candidate, Delivery]]:
    """Those that no other sweep has taken meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        rows = Delivery.objects.filter(pk__in=chosen, due_at__lte=now)
        ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ids).update(
            due_at=now + leases.DELIVERY_LEASE, fencing_token=F("fencing_token") + 1
        )
        taken = list(Delivery.objects.filter(pk__in=ids).select_related("endpoint", "generation"))
    return [(chosen[delivery.pk], delivery) for delivery in taken]
