"""The actions on a generation in doubt: each is performed once, with a reason and an audit entry."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.urls import reverse

from generations import lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from tenants.audit import Actor
from tenants.models import AuditEntry, LedgerEntry
from tests.http_client import Client
from tests.support import attempts
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff
from tests.support.upstream import Upstream, as_json, refusal, task

pytestmark = pytest.mark.one_database

ACTIONS = ["attach", "resubmit", "release", "give_up"]
FORM = {"attempt": "1", "reason": "support said so", "upstream_id": "found-1"}
OPERATOR = Actor(name="olga", reason="support said so")
SCRIPT = "<script>alert(1)</script>"


def address(name: str, row: Any = None) -> str:
    """Return the address of a page about generations."""
    return reverse(f"admin:generations_generation_{name}", args=[row.pk] if row else [])


def make_in_doubt(caller: Caller, **facts: Any) -> Generation:
    """Return a generation in doubt that is held for an operator."""
    generation = make_generation(caller, **facts)
    attempt = attempts.start_submitting(generation)
    assert lifecycle.mark_in_doubt(generation, "the connection broke", attempt)
    assert lifecycle.await_operator(generation)
    return generation


def read_state(generation: Generation) -> tuple[str, str, str | None]:
    """Return status, error code and upstream id as stored."""
    row = Generation.objects.get(pk=generation.pk)
    return row.status, row.error_code, row.upstream_id


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def audit_entries() -> list[tuple[str, str, str]]:
    """Return actor, action and target of the audit entries about generations in doubt."""
    rows = AuditEntry.objects.filter(action__startswith="doubt").order_by("pk")
    return [(row.actor, row.action, row.target) for row in rows]


def finished_task(seed: str) -> Any:
    """Return the upstream's answer about a task that finished with this seed."""
    return task("TASK_STATUS_SUCCEED", seed=seed, url="http://127.0.0.1:1/video.mp4")


def test_a_task_is_attached(admin_client: Client, alice: Caller, upstream: Upstream) -> None:
    g = make_in_doubt(alice, seed=7)
    upstream.on_poll = finished_task("7")
    response = admin_client.post(address("attach", g), {**FORM, "upstream_id": " found-1 "}, follow=True)
    assert response.redirect_chain == [(address("change", g), 302)]
    assert f"Attach upstream task: done for {g.pk}." in response.content.decode()
    assert (read_state(g), ledger_kinds(g)) == (("running", "", "found-1"), ["hold"])
    assert upstream.polls == ["found-1"]
    assert audit_entries() == [("admin", "doubt: attach", str(g.pk))]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.tenant, entry.reason) == (alice.tenant, "support said so")
    assert entry.changes == {"upstream_id": "found-1", "usd_at_risk": "0.088209"}


@pytest.mark.parametrize(
    ("action", "state", "kinds"),
    [
        ("resubmit", ("queued", "", None), ["hold"]),
        ("release", ("failed", "not_submitted", None), ["hold", "release"]),
        ("give_up", ("failed", "submit_unconfirmed", None), ["hold", "release"]),
    ],
)
def test_a_generation_in_doubt_is_resolved_once(
    admin_client: Client, alice: Caller, action: str, state: Any, kinds: list[str]
) -> None:
    g = make_in_doubt(alice)
    assert admin_client.post(address(action, g), FORM)["Location"] == address("change", g)
    assert "no longer in doubt" in admin_client.post(address(action, g), FORM).content.decode()
    assert (read_state(g), ledger_kinds(g)) == (state, kinds)
    assert audit_entries() == [("admin", f"doubt: {action.replace('_', ' ')}", str(g.pk))]
    assert AuditEntry.objects.latest("pk").reason == "support said so"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (finished_task("8"), "That task was made from seed 8, this generation from 7."),
        (task("TASK_STATUS_PROCESSING", progress=40), "That task is still rendering"),
        (task("TASK_STATUS_FAILED", reason="too dark"), "That task failed (too dark). Release the generation instead."),
        (refusal(404, "TASK_NOT_FOUND"), "The upstream does not show that task"),
        (as_json({"nonsense": SCRIPT}), "The upstream does not show that task"),
    ],
)
def test_a_foreign_task_is_refused_with_the_reason_and_the_form_keeps_its_values(
    admin_client: Client, alice: Caller, upstream: Upstream, answer: Any, sentence: str
) -> None:
    g = make_in_doubt(alice, seed=7)
    upstream.on_poll = answer
    page = admin_client.post(address("attach", g), FORM).content.decode()
    assert sentence in page
    assert SCRIPT not in page
    assert 'value="found-1"' in page
    assert 'value="support said so"' in page
    assert (read_state(g), audit_entries()) == (("in_doubt", "", None), [])


def test_the_task_of_another_generation_is_refused(admin_client: Client, alice: Caller, upstream: Upstream) -> None:
    g, other = make_in_doubt(alice), make_generation(alice)
    Generation.objects.filter(pk=other.pk).update(status="running", upstream_id="found-1")
    assert "belongs to another generation" in admin_client.post(address("attach", g), FORM).content.decode()
    assert (read_state(g), upstream.polls) == (("in_doubt", "", None), [])


@pytest.mark.parametrize(
    ("task_id", "sentence"),
    [
        ("", "This field is required."),
        ("x" * 201, "at most 200 characters"),
        ("zero\u200bwidth", "1 to 200 printable characters"),
    ],
)
def test_a_wrong_task_id_is_an_error_of_the_form(
    admin_client: Client, alice: Caller, upstream: Upstream, task_id: str, sentence: str
) -> None:
    g = make_in_doubt(alice)
    page = admin_client.post(address("attach", g), {**FORM, "upstream_id": task_id}).content.decode()
    assert sentence in page
    assert (read_state(g), upstream.polls) == (("in_doubt", "", None), [])


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_a_reason_and_a_post(
    admin_client: Client, alice: Caller, upstream: Upstream, action: str
) -> None:
    g = make_in_doubt(alice)
    assert admin_client.get(address(action, g), FORM).status_code == 200
    for reason in ("", "  "):
        response = admin_client.post(address(action, g), {**FORM, "reason": reason})
        assert "This field is required." in response.content.decode()
    assert (read_state(g), audit_entries(), upstream.polls) == (("in_doubt", "", None), [], [])


@pytest.mark.parametrize(("action", "warning"), [("resubmit", "may pay twice"), ("give_up", "is ours to bear")])
def test_an_action_that_may_cost_money_warns(admin_client: Client, alice: Caller, action: str, warning: str) -> None:
    assert warning in admin_client.get(address(action, make_in_doubt(alice))).content.decode()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_generation_that_is_not_in_doubt_has_no_button_and_is_refused(
    admin_client: Client, alice: Caller, upstream: Upstream, action: str
) -> None:
    g = make_generation(alice, seed=7)
    upstream.on_poll = finished_task("7")
    page = admin_client.get(address("change", g)).content.decode()
    assert address(action, g) not in page
    assert "USD at risk" not in page
    assert "no longer in doubt" in admin_client.post(address(action, g), FORM).content.decode()
    assert (read_state(g), ledger_kinds(g), audit_entries()) == (("queued", "", None), ["hold"], [])


@pytest.mark.parametrize("action", ACTIONS)
def test_a_viewer_has_no_button_and_performs_no_action(alice: Caller, upstream: Upstream, action: str) -> None:
    g = make_in_doubt(alice)
    viewer = log_in_staff("view_generation", "view_tenant", "change_tenant")
    page = viewer.get(address("change", g)).content.decode()
    assert "USD at risk" in page
    assert address(action, g) not in page
    assert viewer.get(address(action, g)).status_code == 403
    assert viewer.post(address(action, g), FORM).status_code == 403
    assert Client().post(address(action, g), FORM)["Location"].startswith(reverse("admin:login"))
    assert (read_state(g), audit_entries(), upstream.polls) == (("in_doubt", "", None), [], [])


def test_a_user_who_may_perform_actions_edits_no_field(alice: Caller) -> None:
    g = make_in_doubt(alice)
    http = log_in_staff("change_generation")
    page = http.get(address("change", g)).content.decode()
    assert [action for action in ACTIONS if address(action, g) in page] == ACTIONS
    assert 'name="seed"' not in page
    assert http.post(address("change", g), {"seed": "8"}).status_code == 403
    assert http.post(address("delete", g), {"post": "yes"}).status_code == 403
    assert http.post(address("release", g), FORM).status_code == 302
    assert audit_entries() == [("viewer", "doubt: release", str(g.pk))]


def test_every_action_requires_the_csrf_token_of_its_form(alice: Caller, admin_user: User) -> None:
    g, http = make_in_doubt(alice), Client(sends_csrf_token=False)
    http.force_login(admin_user)
    assert [http.post(address(action, g), FORM).status_code for action in ACTIONS] == [403] * 4
    assert read_state(g)[0] == "in_doubt"


def test_the_page_of_a_missing_generation_is_not_found(admin_client: Client) -> None:
    for object_id in ("0", "x", "01a20f7a-816c-7b30-9e42-3c634c0984b8"):
        path = reverse("admin:generations_generation_release", args=[object_id])
        assert admin_client.get(path).status_code == 404
        assert admin_client.post(path, FORM).status_code == 404


def test_the_page_shows_what_an_operator_needs_to_decide(admin_client: Client, alice: Caller) -> None:
    g = make_in_doubt(alice, seed=4711)
    sent = g.submitted_at
    assert sent is not None
    with time_machine.travel(sent + timedelta(hours=3, seconds=1), tick=False):
        admin_client.force_login(User.objects.get())  # a session expires earlier
        page = admin_client.get(address("change", g)).content.decode().replace("\xa0", " ")
    assert f"{sent:%Y-%m-%d %H:%M:%S} UTC, sent 3 h ago" in page
    assert f"{sent + timedelta(hours=24):%Y-%m-%d %H:%M:%S} UTC, in 20 h 59 min" in page
    assert re.search(r"USD at risk.*0\.088209", page, re.DOTALL)
    assert "4711" in page
    assert "the connection broke" in page


def test_generations_in_doubt_are_found_in_the_list(admin_client: Client, alice: Caller) -> None:
    g, waiting = make_in_doubt(alice), make_generation(alice)
    all_rows = admin_client.get(address("changelist")).content.decode()
    in_doubt_rows = admin_client.get(address("changelist"), {"status__exact": "in_doubt"}).content.decode()
    assert "status__exact=in_doubt" in all_rows
    assert (str(g.pk) in all_rows, str(waiting.pk) in all_rows) == (True, True)
    assert (str(g.pk) in in_doubt_rows, str(waiting.pk) in in_doubt_rows) == (True, False)
    assert "In doubt" in in_doubt_rows


def test_the_history_of_a_generation_is_the_audit_log(admin_client: Client, alice: Caller) -> None:
    g, other = make_in_doubt(alice), make_in_doubt(alice)
    in_doubt.release(OPERATOR, g)
    in_doubt.give_up(OPERATOR, other)
    page = admin_client.get(address("history", g), follow=True).content.decode()
    assert "doubt: release" in page
    assert str(other.pk) not in page
