"""How the work stands now, as the panel and the metrics tell it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from generations.reports import backlog
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller


def age(g: Generation, **columns: Any) -> None:
    Generation.objects.filter(pk=g.pk).update(**columns)


@pytest.mark.django_db
def test_it_is_one_query_whatever_there_is(alice: Caller, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert backlog.now().total == 0
    for status in ("queued", "in_doubt", "running", "copying", "succeeded", "failed"):
        put_in(alice, status)
    with django_assert_num_queries(1):
        now = backlog.now()
    assert now.live == {"queued": 1, "submitting": 0, "in_doubt": 1, "running": 1, "copying": 1}
    assert (now.total, now.in_doubt, now.stalled, now.uncopied) == (4, 1, 0, 0)


@pytest.mark.django_db
def test_what_waits_and_what_needs_a_person_stands_out(alice: Caller) -> None:
    now = timezone.now()
    waiting, _ = put_in(alice, "queued")
    age(waiting, due_at=now - timedelta(seconds=90))
    slow, _ = put_in(alice, "running")
    age(slow, submitted_at=now - lifecycle.STALLED_AFTER - timedelta(minutes=1), due_at=now + timedelta(minutes=1))
    found, _ = put_in(alice, "running")  # sent long ago, and found after a doubt just now
    age(found, submitted_at=now - timedelta(hours=9), resumed_at=now, due_at=now + timedelta(minutes=1))
    uncopied, _ = put_in(alice, "copying")
    age(uncopied, consecutive_failures=3)
    seen = backlog.now()
    assert (seen.due, seen.stalled, seen.uncopied) == (1, 1, 1)
    assert 90 <= seen.oldest_due_seconds < 95
