"""Recovery from an unexpected error in a step."""

import pytest
from django.utils import timezone

from generations.models import Generation
from generations.worker import backoff, steps
from tests.support import attempts
from tests.support.worker import claim, ledger_kinds

pytestmark = pytest.mark.one_database

Status = Generation.Status


@pytest.mark.parametrize("failures", [0, 8])
def test_an_unexpected_error_is_tried_again(queued: Generation, failures: int) -> None:
    Generation.objects.filter(pk=queued.pk).update(consecutive_failures=failures)
    claimed = claim(queued)
    steps.recover(claimed)
    g = Generation.objects.get(pk=queued.pk)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, failures + 1)


def test_an_unexpected_error_is_not_tried_for_ever(queued: Generation) -> None:
    Generation.objects.filter(pk=queued.pk).update(consecutive_failures=backoff.MAX_UNEXPECTED_ERRORS - 1)
    claimed = claim(queued)
    steps.recover(claimed)
    g = Generation.objects.get(pk=queued.pk)
    assert (g.status, g.error_code) == (Status.FAILED, "internal_error")
    assert ledger_kinds(g) == ["hold", "release"]


def test_failures_in_an_outage_are_no_unexpected_errors(queued: Generation) -> None:
    failures = {"consecutive_failures": backoff.MAX_UNEXPECTED_ERRORS, "outage_since": timezone.now()}
    Generation.objects.filter(pk=queued.pk).update(**failures)
    steps.recover(claim(queued))
    g = Generation.objects.get(pk=queued.pk)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)


def test_an_unexpected_error_while_submitting_leaves_the_row_to_its_lease(queued: Generation) -> None:
    claimed = claim(queued)
    attempts.start_submitting(claimed)
    before = Generation.objects.filter(pk=queued.pk).values().get()
    steps.recover(claimed)
    assert Generation.objects.filter(pk=queued.pk).values().get() == before
