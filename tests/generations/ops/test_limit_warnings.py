"""Tenants and operators are warned of limits that are nearly used up: once for each share and window."""

import json
import smtplib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.urls import reverse

from generations import lifecycle
from generations.models import Delivery, LimitWarning
from generations.ops import limit_mails, limit_warnings
from generations.telemetry import metrics
from tenants import actions
from tenants.models import ApiKey, Tenant
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.webhooks import make_endpoint

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_time() -> Any:
    with time_machine.travel(NOW, tick=False) as travel:
        yield travel


def limit(caller: Caller, **limits: Any) -> None:
    Tenant.objects.filter(pk=caller.tenant.pk).update(**limits)
    caller.tenant.refresh_from_db()


def use(caller: Caller, count: int, **facts: Any) -> None:
    for _ in range(count):
        make_generation(caller, created_at=datetime.now(UTC), **facts)


def written() -> list[tuple[str, int, bool]]:
    rows = LimitWarning.objects.order_by("pk")
    return [(row.kind, row.percent, row.api_key_id is not None) for row in rows]


def events() -> list[dict[str, Any]]:
    bodies = Delivery.objects.filter(type="limit.threshold").order_by("created_at", "id").values_list("body", flat=True)
    return [json.loads(body)["data"] for body in bodies]


def test_each_share_is_warned_of_once_in_a_window(alice: Caller, the_time: Any) -> None:
    make_endpoint(alice)
    limit(alice, per_day=4)
    use(alice, 1)
    assert limit_warnings.write() == 0
    use(alice, 1)
    assert limit_warnings.write() == 1
    assert limit_warnings.write() == 0
    use(alice, 2)
    assert limit_warnings.write() == 2
    assert written() == [("per_day", 50, False), ("per_day", 80, False), ("per_day", 100, False)]
    assert sorted(event["percent"] for event in events()) == [50, 80, 100]
    the_time.shift(timedelta(days=1))
    use(alice, 2)
    assert limit_warnings.write() == 1


def test_the_event_says_what_the_limits_page_says(alice: Caller) -> None:
    make_endpoint(alice)
    limit(alice, usd_per_month_micro=100_000)
    use(alice, 1, price_micro=88_209)
    limit_warnings.write()
    event = max(events(), key=lambda event: event["percent"])
    [shown] = [row for row in alice.http.get("/v1/limits").json()["limits"] if row["name"] == "usd_per_month"]
    assert {name: event[name] for name in ("name", "scope", "limit", "used", "resets_at")} == {
        name: shown[name] for name in ("name", "scope", "limit", "used", "resets_at")
    }
    assert (event["used"], event["limit"], event["percent"], event["key"]) == ("0.088209", "0.100000", 80, None)


def test_limits_of_keys_warn_too_and_test_keys_reach_test_endpoints(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    make_endpoint(alice)
    make_endpoint(alice, test=True)
    trial = alice.with_key(test=True)
    ApiKey.objects.filter(pk__in=[alice.key.pk, trial.key.pk]).update(per_month=2)
    use(alice, 1)
    use(trial, 2)
    assert limit_warnings.write() == 4
    rows = Delivery.objects.filter(type="limit.threshold")
    assert {(row.test, json.loads(row.body)["data"]["key"]) for row in rows} == {
        (False, alice.key.prefix),
        (True, trial.key.prefix),
    }


def test_usage_that_was_given_back_is_not_warned_of_again(alice: Caller) -> None:
    limit(alice, usd_per_month_micro=100_000)
    generation = make_generation(alice, created_at=NOW, price_micro=60_000)
    assert limit_warnings.write() == 1
    lifecycle.fail(generation, "code", "Why.")
    assert limit_warnings.write() == 0
    use(alice, 1, price_micro=60_000)
    assert limit_warnings.write() == 0


def test_the_largest_limits_can_be_compared(alice: Caller) -> None:
    largest = dict.fromkeys(("per_day", "per_month", "seconds_per_month"), 2**31 - 1)
    limit(alice, **largest, usd_per_month_micro=10**15)
    use(alice, 1)
    assert limit_warnings.write() == 0


def test_rates_and_what_is_in_flight_are_not_warned_of(alice: Caller) -> None:
    limit(alice, in_flight=2, requests_per_minute=2)
    use(alice, 2)
    assert limit_warnings.write() == 0


def test_a_limit_of_nothing_is_not_warned_of(alice: Caller) -> None:
    use(alice, 1)
    limit(alice, per_day=0)
    assert limit_warnings.write() == 0


@pytest.mark.parametrize(("thresholds", "percents"), [([], []), ([90], []), ([25, 60], [25, 60])])
def test_the_shares_are_a_setting(alice: Caller, settings: Any, thresholds: list[int], percents: list[int]) -> None:
    settings.LIMIT_THRESHOLDS = thresholds
    limit(alice, per_day=3)
    use(alice, 2)
    limit_warnings.write()
    assert [percent for _, percent, _ in written()] == percents


def test_the_log_and_the_metric_have_it(alice: Caller, caplog: Any, django_capture_on_commit_callbacks: Any) -> None:
    counter = metrics.LIMIT_WARNINGS.labels("per_day", "100")
    before = counter._value.get()
    limit(alice, per_day=1)
    use(alice, 1)
    with django_capture_on_commit_callbacks(execute=True):
        limit_warnings.write()
    assert "a limit is nearly used up" in caplog.text
    assert counter._value.get() == before + 1


def test_a_crash_before_the_commit_loses_no_warning(alice: Caller, monkeypatch: Any) -> None:
    make_endpoint(alice)
    limit(alice, per_day=1)
    use(alice, 1)
    publish = limit_warnings.outbox.publish_to
    monkeypatch.setattr(limit_warnings.outbox, "publish_to", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        limit_warnings.write()
    assert (written(), events()) == ([], [])
    monkeypatch.setattr(limit_warnings.outbox, "publish_to", publish)
    limit_warnings.write()
    assert sorted(event["percent"] for event in events()) == [50, 80, 100]


@pytest.mark.django_db(transaction=True)
def test_two_workers_warn_once(alice: Caller) -> None:
    make_endpoint(alice)
    limit(alice, per_day=1)
    use(alice, 1)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        limit_warnings.write()
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(written()) == 3
    assert sorted(event["percent"] for event in events()) == [50, 80, 100]


# -- e-mails ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mailed(alice: Caller, settings: Any) -> Caller:
    """A tenant with a warning that is to be mailed."""
    settings.LIMIT_WARNING_EMAILS = ["ops@example.com"]
    limit(alice, usd_per_month_micro=100_000)
    use(alice, 1, price_micro=88_209)
    limit_warnings.write()
    return alice


def test_operators_get_one_mail_of_a_warning(mailed: Caller) -> None:
    assert limit_mails.send() == 1
    assert limit_mails.send() == 0
    [message] = mail.outbox
    assert message.to == ["ops@example.com"]
    assert message.subject == "alice: 80 % of USD per month used"
    assert "0.088209 of 0.100000" in message.body
    assert "2026-12-01 00:00 UTC" in message.body


def test_without_addresses_there_is_no_mail(alice: Caller) -> None:
    limit(alice, per_day=1)
    use(alice, 1)
    limit_warnings.write()
    assert limit_mails.send() == 0
    assert not LimitWarning.objects.exclude(mail_due_at=None).exists()


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), smtplib.SMTPServerDisconnected("gone")])
def test_a_mail_that_was_not_sent_is_sent_later(
    mailed: Caller, monkeypatch: Any, the_time: Any, error: Exception
) -> None:
    def refuse(message: Any) -> int:
        raise error

    send = limit_mails.EmailMessage.send
    monkeypatch.setattr(limit_mails.EmailMessage, "send", refuse)
    assert limit_mails.send() == 0
    monkeypatch.setattr(limit_mails.EmailMessage, "send", send)
    assert limit_mails.send() == 0
    the_time.shift(timedelta(minutes=6))
    assert limit_mails.send() == 1
    assert len(mail.outbox) == 1


def test_a_mail_that_another_worker_has_claimed_is_not_sent(mailed: Caller, monkeypatch: Any) -> None:
    [warning] = LimitWarning.objects.exclude(mail_due_at=None)
    LimitWarning.objects.filter(pk=warning.pk).update(mail_due_at=NOW + timedelta(minutes=5))
    assert not limit_mails._send(warning)
    assert mail.outbox == []


# -- the panel --------------------------------------------------------------------------------------------------------


def test_the_panel_lists_warnings_and_the_dashboard_counts_those_of_now(
    alice: Caller, admin_client: Client, the_time: Any
) -> None:
    limit(alice, usd_per_month_micro=100_000)
    use(alice, 1, price_micro=88_209)
    limit_warnings.write()
    page = admin_client.get(reverse("admin:generations_limitwarning_changelist")).content.decode()
    for text in ("80 %", "USD per month", "0.088209", "0.100000", "alice"):
        assert text in page
    index = admin_client.get(reverse("admin:index"))
    [tile] = [tile for tile in index.context["tiles"] if tile.name == "Limits nearly used up"]
    assert (tile.figure, tile.level) == (1, "warn")
    the_time.shift(timedelta(days=30))
    admin_client.force_login(User.objects.get(username="admin"))  # the session of before has ended
    index = admin_client.get(reverse("admin:index"))
    assert not [tile for tile in index.context["tiles"] if tile.name == "Limits nearly used up"]


def test_a_change_of_a_limit_is_heeded(alice: Caller) -> None:
    limit(alice, per_month=10)
    use(alice, 2)
    assert limit_warnings.write() == 0
    actions.change_tenant(ACTOR, alice.tenant, per_month=4)
    assert limit_warnings.write() == 1
