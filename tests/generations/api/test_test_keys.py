"""Test keys: their generations go to the sandbox, cost nothing, use no live limit and are on no live list or bill."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from generations.worker import steps
from generations.worker.poll import poll
from tenants import actions
from tenants.errors import NoSandbox
from tenants.limits import counters
from tenants.models import LedgerEntry
from tenants.money import monthly_statement, reconcile
from tests.support import novita_calls
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.upstream import Upstream, as_json
from tests.support.worker import claim_due


@pytest.fixture
def sandbox(settings: Any) -> Any:
    server = Upstream()
    server.on_submit = as_json({"task_id": "sandbox-1"})
    settings.SANDBOX_BASE_URL = server.url
    settings.FETCH_ALLOW_HOSTS = [server.host]
    yield server
    server.stop()


@pytest.fixture
def tester(alice: Caller, sandbox: Upstream) -> Caller:
    return alice.with_key(test=True)


def test_a_test_keys_text_says_that_it_is_one(tester: Caller) -> None:
    assert tester.key_text.startswith("sds_test_")
    assert tester.http.get("/v1/generations").status_code == 200


def test_its_generation_goes_to_the_sandbox_and_never_to_the_live_upstream(
    tester: Caller, alice: Caller, bucket: Any, body: dict[str, Any], sandbox: Upstream, settings: Any
) -> None:
    live = Upstream()
    settings.NOVITA_BASE_URL = live.url
    try:
        for caller in (tester, alice):
            caller.http.post("/v1/generations", body, format="json")
        for generation in claim_due(10):
            steps.advance(generation)
        for generation in Generation.objects.all():
            poll(generation)
    finally:
        live.stop()
    assert (len(sandbox.submits), len(live.submits)) == (1, 1)
    assert (len(sandbox.polls), len(live.polls)) == (1, 1)
    assert sandbox.keys == {"Bearer sandbox"}  # the live key goes to no other service


def test_it_costs_nothing_and_takes_none_of_the_tenants_limits(
    tester: Caller, alice: Caller, bucket: Any, body: dict[str, Any]
) -> None:
    alice.limit(requests_per_minute=0, in_flight=0, per_day=0, per_month=0, seconds_per_month=0, usd_per_month_micro=0)
    row = tester.http.post("/v1/generations", body, format="json").json()
    assert (row["test"], row["price_usd"]) == (True, "0.000000")
    assert {usage.used for usage in counters.usage_for_tenant(alice.tenant, timezone.now())} == {0}
    lifecycle.fail(Generation.objects.get(), "code", "Why.")
    assert reconcile.check(alice.tenant.pk) == []
    assert set(LedgerEntry.objects.values_list("test", "amount_micro")) == {(True, 0)}


def test_a_cap_of_its_own_holds_all_the_same(tester: Caller, bucket: Any, body: dict[str, Any]) -> None:
    tester.limit_key(per_day=1)
    assert [tester.http.post("/v1/generations", body, format="json").status_code for _ in range(2)] == [202, 429]
    limits = tester.http.get("/v1/limits").json()
    assert limits["test"] is True
    assert {row["scope"] for row in limits["limits"]} == {"key"}
    assert next(row["remaining"] for row in limits["limits"] if row["name"] == "per_day") == 0


def test_live_and_test_keys_see_their_own_rows_only(tester: Caller, alice: Caller) -> None:
    tried, live = make_generation(tester, price_micro=0), make_generation(alice)
    for caller, mine, others in ((tester, tried, live), (alice, live, tried)):
        listed = caller.http.get("/v1/generations").json()["generations"]
        assert [row["id"] for row in listed] == [str(mine.pk)]
        assert caller.http.get(f"/v1/generations/{others.pk}").status_code == 404
        assert caller.http.get("/v3/async/task-result", {"task_id": str(others.pk)}).status_code == 404
        assert caller.http.get("/v1/usage").json()["total"]["accepted"] == 1


def test_test_generations_are_on_no_bill(tester: Caller, alice: Caller) -> None:
    make_generation(tester, price_micro=0)
    statement = monthly_statement.build(alice.tenant, timezone.now().date())
    assert (statement.rows, statement.held) == ([], 0)


def test_the_panel_lists_live_generations_and_tests_when_asked(
    tester: Caller, alice: Caller, admin_client: Any
) -> None:
    tried, live = make_generation(tester, price_micro=0), make_generation(alice)
    listed = admin_client.get("/admin/generations/generation/").content.decode()
    assert str(live.pk) in listed
    assert str(tried.pk) not in listed
    page = admin_client.get("/admin/generations/generation/?mode=test").content.decode()
    assert str(tried.pk) in page
    assert str(live.pk) not in page
    both = admin_client.get("/admin/generations/generation/?mode=all").content.decode()
    assert str(tried.pk) in both
    assert str(live.pk) in both


def test_without_a_sandbox_no_test_key_is_created(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = ""
    with pytest.raises(NoSandbox, match="SANDBOX_BASE_URL"):
        actions.create_key(ACTOR, alice.tenant, test=True)


def test_a_test_key_without_a_sandbox_is_refused_with_no_sandbox(
    tester: Caller, settings: Any, body: dict[str, Any]
) -> None:
    settings.SANDBOX_BASE_URL = ""
    answer = tester.http.post("/v1/generations", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_sandbox")
    assert not Generation.objects.exists()


def test_a_rolled_test_key_is_a_test_key(tester: Caller) -> None:
    new, _ = actions.roll_key(ACTOR, tester.key, timedelta(hours=1))
    assert new.text.startswith("sds_test_")


def test_the_live_key_is_not_in_the_accounts_words() -> None:
    assert "upstream-key-of-the-tests" not in repr(novita_calls.account())
