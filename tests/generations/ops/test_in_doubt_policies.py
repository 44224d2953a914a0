"""The tenants' policies for generations in doubt, and the submit deadline after a resubmit."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import leases
from generations.models import Generation
from generations.ops import in_doubt
from generations.worker import held_submits
from tenants import actions
from tenants.errors import NotPossible
from tests.support import attempts
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.in_doubt import OLGA, MakeInDoubt, ledger_kinds, run_steps, status
from tests.support.upstream import Upstream, refusal
from tests.support.worker import claim_due


def test_the_policy_hold_keeps_the_hold_for_a_day(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    assert (g.status, ledger_kinds(g)) == ("in_doubt", ["hold"])
    with time_machine.travel(timezone.now() + timedelta(hours=23), tick=False):
        run_steps()
        assert status(g) == "in_doubt"
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        run_steps()
    g.refresh_from_db()
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_fail_fails_at_once_and_releases_the_hold(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt("fail")
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_resubmit_submits_a_second_time_and_not_a_third(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    g = make_in_doubt("resubmit")
    assert (g.status, ledger_kinds(g)) == ("queued", ["hold"])
    assert "may pay twice" in g.events.last().message
    upstream.on_submit = lambda handler: None
    run_steps()
    run_steps()
    assert status(g) == "in_doubt"
    assert len(upstream.submits) == 2
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        run_steps()
    assert status(g) == "failed"
    assert len(upstream.submits) == 2


def test_the_policy_applies_to_a_submit_whose_worker_was_killed(
    alice: Caller, upstream: Upstream, make_in_doubt: MakeInDoubt, bucket: Any
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, on_doubt="resubmit")
    g = make_generation(alice)
    [claimed] = claim_due(1)
    assert attempts.start_submitting(claimed)
    with time_machine.travel(timezone.now() + leases.SUBMIT_LEASE, tick=False):
        run_steps()
        run_steps()
        assert status(g) == "queued"


def test_a_tenants_policies_are_validated(alice: Caller) -> None:
    for wrong in ({"on_doubt": "shrug"}, {"submit_deadline": 0}, {"submit_deadline": 10**9}):
        with pytest.raises(NotPossible):
            actions.change_tenant(ACTOR, alice.tenant, **wrong)


def be_refused_for(clock: Any, seconds: int) -> None:
    """Take a step each 500 seconds, while the upstream takes the submits of others."""
    for _ in range(seconds // 500):
        held_submits.resume("novita")
        clock.shift(500)
        run_steps()


def test_a_resubmitted_generation_has_the_whole_submit_deadline_again(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    g = make_in_doubt()
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False) as clock:
        in_doubt.resubmit(OLGA, g)
        run_steps()
        assert status(g) == "queued"
        be_refused_for(clock, 3500)
        assert status(g) == "queued"
        be_refused_for(clock, 500)
        assert Generation.objects.get(pk=g.pk).error_code == "upstream_unavailable"


def test_a_tenant_may_have_its_own_submit_deadline(
    make_in_doubt: MakeInDoubt, alice: Caller, upstream: Upstream
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7200)
    g = make_in_doubt()
    in_doubt.resubmit(OLGA, g)
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED")
    with time_machine.travel(timezone.now(), tick=False) as clock:
        run_steps()
        be_refused_for(clock, 7000)
        assert status(g) == "queued"
        actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7050)
        be_refused_for(clock, 500)
    assert status(g) == "failed"
