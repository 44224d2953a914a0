"""The backlog, as the panel and the metrics report it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from generations.reports import backlog
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller
from tests.support.patience import PATIENCE


def update(generation: Generation, **columns: Any) -> None:
    """Set columns of the generation's row."""
    Generation.objects.filter(pk=generation.pk).update(**columns)


@pytest.mark.django_db
def test_the_backlog_is_read_by_one_query(alice: Caller, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert backlog.read().total == 0
    for status in ("queued", "in_doubt", "running", "copying", "succeeded", "failed"):
        put_in(alice, status)
    with django_assert_num_queries(1):
        now = backlog.read()
    assert now.live == {"queued": 1, "submitting": 0, "in_doubt": 1, "running": 1, "copying": 1}
    assert (now.total, now.in_doubt, now.stalled, now.copy_retrying) == (4, 1, 0, 0)


@pytest.mark.django_db
def test_due_stalled_and_retrying_rows_are_counted(alice: Caller) -> None:
    now = timezone.now()
    waiting, _ = put_in(alice, "queued")
    update(waiting, due_at=now - timedelta(seconds=90))
    slow, _ = put_in(alice, "running")
    update(slow, submitted_at=now - lifecycle.STALLED_AFTER - timedelta(minutes=1), due_at=now + timedelta(minutes=1))
    resumed, _ = put_in(alice, "running")  # submitted long ago, in doubt until now
    update(resumed, submitted_at=now - timedelta(hours=9), resumed_at=now, due_at=now + timedelta(minutes=1))
    copying, _ = put_in(alice, "copying")
    update(copying, consecutive_failures=3)
    rendered, _ = put_in(alice, "copying")
    update(rendered, due_at=now - timedelta(seconds=40))
    present = backlog.read()
    assert (present.due, present.stalled, present.copy_retrying, present.copy_waiting) == (2, 1, 1, 1)
    assert 90 <= present.oldest_due_seconds < 90 + PATIENCE
