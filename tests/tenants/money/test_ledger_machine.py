"""A life of one tenant, drawn at random: after every step the counters are the fold of the ledger, and no limit is
passed. The model beside it is a few sets and sums.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from generations import lifecycle
from generations.models import Generation
from tenants import actions, locks
from tenants.audit import Actor
from tenants.errors import LimitReached, NotPossible
from tenants.limits import counters, windows
from tenants.limits.windows import Kind
from tenants.models import LedgerEntry, Limits
from tenants.money import carry_over, ledger, reconcile
from tests.generations.test_lifecycle import VIDEO
from tests.support.factories import Caller, make_generation

START = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
AMOUNTS = {"seconds_per_month": 5, "usd_per_month_micro": 88_209}
LIMIT = st.one_of(st.none(), st.integers(0, 4))


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rolled_back = transaction.atomic()
        self.rolled_back.__enter__()
        self.clock = time_machine.travel(START, tick=False)
        self.travel = self.clock.start()
        self.alice = Caller("alice")
        self.charged: dict[Any, list[windows.Charge]] = {}  # of what was admitted, by id
        self.created: dict[Any, datetime] = {}
        self.ended: dict[Any, str] = {}  # how it ended, by id
        self.adjusted: list[tuple[datetime, datetime, int]] = []  # when, of which month, micro-USD
        self.carried: Counter[tuple[bool, Kind, datetime]] = Counter()  # by a change of time zone

    def teardown(self) -> None:
        self.clock.stop()
        transaction.set_rollback(True)
        self.rolled_back.__exit__(None, None, None)

    # What may happen to a tenant.

    @rule()
    def create(self) -> None:
        expected = self.full()
        try:
            with transaction.atomic():
                made = make_generation(self.alice, created_at=timezone.now())
        except LimitReached:
            assert expected, "it was refused although there was room"
            return
        assert not expected, f"it was admitted although {expected} was full"
        charges = windows.charges(made.price_micro, made.duration, made.created_at, self.alice.tenant.zone)
        self.charged[made.pk], self.created[made.pk] = charges, made.created_at

    @precondition(lambda self: self.live())
    @rule(pick=st.randoms(use_true_random=False))
    def succeed(self, pick: Any) -> None:
        g = self.submitted(pick)
        if g.status == "running":
            assert lifecycle.start_copying(g, None)
        assert lifecycle.mark_succeeded(g, VIDEO)
        self.ended[g.pk] = "capture"

    @precondition(lambda self: self.live())
    @rule(pick=st.randoms(use_true_random=False))
    def start(self, pick: Any) -> None:
        self.submitted(pick)

    @precondition(lambda self: self.live())
    @rule(pick=st.randoms(use_true_random=False))
    def fail(self, pick: Any) -> None:
        g = self.one_live(pick)
        assert lifecycle.fail(g, "code", "Why.")
        self.ended[g.pk] = "release"

    @precondition(lambda self: self.live())
    @rule(pick=st.randoms(use_true_random=False))
    def cancel(self, pick: Any) -> None:
        g = self.one_live(pick)
        cancelled = lifecycle.cancel(g, "by the caller")
        assert cancelled == (g.pk not in self.ended and self.was_queued(g))
        if cancelled:
            self.ended[g.pk] = "release"

    @precondition(lambda self: self.ended)
    @rule(pick=st.randoms(use_true_random=False))
    def end_twice(self, pick: Any) -> None:
        pk = pick.choice(sorted(self.ended))
        g = Generation.objects.get(pk=pk)
        assert not lifecycle.fail(g, "code", "Why.")
        assert not lifecycle.cancel(g, "again")
        assert not ledger.release(pk, "again")
        assert not ledger.capture(pk)

    @rule(name=st.sampled_from(Limits.NAMES), to=LIMIT, of_key=st.booleans())
    def limit(self, name: str, to: int | None, of_key: bool) -> None:
        value = None if to is None else to * AMOUNTS.get(name, 1)
        (self.alice.limit_key if of_key else self.alice.limit)(**{name: value})

    @rule(amount=st.sampled_from([50_000, -50_000, -88_209]))
    def adjust(self, amount: int) -> None:
        now = timezone.now()
        month = windows.start(Kind.USD_PER_MONTH, now, self.alice.tenant.zone)
        held = sum(88_209 for pk in self.live() if self.created[pk] >= month)
        spent = self.used(Kind.USD_PER_MONTH, month, False) - held
        try:
            actions.adjust(Actor(name="ops", reason="why"), self.alice.tenant, amount)
        except NotPossible:
            assert spent + amount < 0
            return
        assert spent + amount >= 0
        self.adjusted.append((now, month, amount))

    @rule(name=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland", "America/Los_Angeles"]))
    def move_to(self, name: str) -> None:
        now, old, new = timezone.now(), self.alice.tenant.zone, ZoneInfo(name)
        for kind in carry_over.KINDS:
            starts_at = windows.start(kind, now, new)
            for of_key in (False, True) if starts_at != windows.start(kind, now, old) else ():
                missing = self.used_since(kind, starts_at, of_key) - self.used(kind, starts_at, of_key)
                self.carried[of_key, kind, starts_at] += max(missing, 0)
        actions.change_tenant(Actor(name="ops"), self.alice.tenant, time_zone=name)
        self.alice.key = locks.lock_key(self.alice.key.pk)
        self.alice.tenant = self.alice.key.tenant

    @rule(step=st.sampled_from([timedelta(seconds=40), timedelta(minutes=1), timedelta(days=1), timedelta(days=31)]))
    def time_goes_by(self, step: timedelta) -> None:
        self.travel.shift(step)

    # What always holds.

    @invariant()
    def the_counters_are_the_fold_of_the_ledger(self) -> None:
        assert reconcile.check(self.alice.tenant.pk) == []

    @invariant()
    def the_counters_are_the_models(self) -> None:
        now = timezone.now()
        for one in counters.usage_for_key(locks.lock_key(self.alice.key.pk), now):
            assert one.used == self.used(one.kind, one.starts_at, one.is_of_key), one

    @invariant()
    def each_generation_has_one_hold_and_at_most_one_end(self) -> None:
        kinds = LedgerEntry.objects.exclude(kind="adjust").values_list("generation_id", "kind")
        expected = [(pk, "hold") for pk in self.charged] + list(self.ended.items())
        assert sorted(kinds) == sorted(expected)

    # The model.

    def used(self, kind: Kind, starts_at: datetime, of_key: bool) -> int:
        charged = [c for pk in self.kept(kind) for c in self.charged[pk] if (c.kind, c.starts_at) == (kind, starts_at)]
        money = kind == Kind.USD_PER_MONTH and not of_key
        adjusted = sum(micro for _, month, micro in self.adjusted if money and month == starts_at)
        return sum(c.amount for c in charged) + adjusted + self.carried[of_key, kind, starts_at]

    def used_since(self, kind: Kind, since: datetime, of_key: bool) -> int:
        charged = [
            c for pk in self.kept(kind) for c in self.charged[pk] if c.kind == kind and self.created[pk] >= since
        ]
        money = kind == Kind.USD_PER_MONTH and not of_key
        return sum(c.amount for c in charged) + sum(micro for at, _, micro in self.adjusted if money and at >= since)

    def kept(self, kind: Kind) -> list[Any]:
        """The generations whose charge of that kind was not given back."""
        back = {pk: ledger.RETURNED_KINDS[LedgerEntry.Kind(end)] for pk, end in self.ended.items()}
        return [pk for pk in self.charged if kind not in back.get(pk, set())]

    def full(self) -> str:
        """The first limit that has no room for one more, of the tenant or of its key."""
        key = locks.lock_key(self.alice.key.pk)
        for charge in windows.charges(88_209, 5, timezone.now(), key.tenant.zone):
            for holder in (key.tenant, key):
                most, used = windows.limit(holder, charge.kind), self.used(charge.kind, charge.starts_at, holder is key)
                if most is not None and used + charge.amount > most:
                    return charge.kind.value
        return ""

    def live(self) -> list[Any]:
        return sorted(set(self.charged) - set(self.ended))

    def one_live(self, pick: Any) -> Generation:
        return Generation.objects.get(pk=pick.choice(self.live()))

    def submitted(self, pick: Any) -> Generation:
        g = self.one_live(pick)
        if g.status == "queued":
            attempt = lifecycle.start_submitting(g)
            assert attempt is not None
            assert lifecycle.mark_running(g, attempt, f"up-{g.pk}", 2)
        return g

    def was_queued(self, g: Generation) -> bool:
        return not g.attempts.exists()


@pytest.mark.django_db
def test_whatever_happens_the_books_balance_and_no_limit_is_passed() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,  # the same lives in each run: what fails here fails at home
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
