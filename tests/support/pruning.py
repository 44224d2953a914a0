"""Pruning runs in tests, and data that is old enough for them."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from generations.bucket import objects
from generations.models import Generation
from generations.ops import orphans, pruning
from generations.ops.prune_run import PruneResult
from tenants import actions
from tenants.models import Tenant
from tests.generations.test_lifecycle import put_in
from tests.support.factories import ACTOR, Caller
from tests.support.images import mp4


def days_ago(days: float) -> datetime:
    """Return the time that many days ago."""
    return timezone.now() - timedelta(days=days)


def prune(**options: Any) -> dict[str, PruneResult]:
    """Prune every kind, and return the results by kind."""
    return {result.what: result for result in pruning.run(**options)}


def nonzero_counts(results: dict[str, PruneResult]) -> dict[str, int]:
    """Return the count of each kind of which something was deleted."""
    return {what: result.count for what, result in results.items() if result.count}


def set_retention(tenant: Tenant, days: int | None, field: str = "video_days") -> None:
    """Set a tenant's own days of retention."""
    actions.change_tenant(ACTOR, tenant, **{field: days})


def age_objects(monkeypatch: Any, days: float) -> None:
    """Let orphans count as that many days older than they are: an object's time cannot be set."""
    monkeypatch.setattr(orphans, "MIN_ORPHAN_AGE", orphans.MIN_ORPHAN_AGE - timedelta(days=days))


def make_finished(caller: Caller, days: float, **columns: Any) -> Generation:
    """Make a generation that succeeded that many days ago, with its video and poster in the bucket."""
    generation, _ = put_in(caller, Generation.Status.SUCCEEDED)
    name = f"videos/{caller.tenant.pk}/2026/01/{generation.pk}-1"
    objects.put(f"{name}.mp4", mp4(), "video/mp4")
    objects.put(f"{name}.jpg", b"poster", "image/jpeg")
    at = days_ago(days)
    Generation.objects.filter(pk=generation.pk).update(
        **{"video_key": f"{name}.mp4", "poster_key": f"{name}.jpg", "finished_at": at, "created_at": at, **columns}
    )
    return Generation.objects.get(pk=generation.pk)
