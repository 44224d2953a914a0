"""The panel for doubts: each act does what it says, with a reason, once, and leaves its line in the audit log."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from generations import lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from tenants.audit import Actor
from tenants.models import AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Upstream, as_json, refusal, task

pytestmark = pytest.mark.one_database

ACTS = ["attach", "resubmit", "release", "give_up"]
GIVEN = {"attempt": "1", "reason": "support said so", "upstream_id": "found-1"}
OPS = Actor(name="olga", reason="support said so")
SCRIPT = "<script>alert(1)</script>"


def address(name: str, row: Any = None) -> str:
    return reverse(f"admin:generations_generation_{name}", args=[row.pk] if row else [])


def staff(*codenames: str) -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    http = Client()
    http.force_login(user)
    return http


def doubtful(caller: Caller, **facts: Any) -> Generation:
    """One whose answer was lost, held for ops."""
    generation = make_generation(caller, **facts)
    attempt = lifecycle.start_submitting(generation)
    assert lifecycle.mark_in_doubt(generation, "the connection broke", attempt)
    assert lifecycle.await_operator(generation)
    return generation


def standing(generation: Generation) -> tuple[str, str, str | None]:
    known = Generation.objects.get(pk=generation.pk)
    return known.status, known.error_code, known.upstream_id


def kinds(generation: Generation) -> list[str]:
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def lines() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(action__startswith="doubt").order_by("pk")
    return [(row.actor, row.action, row.target) for row in rows]


def finished(seed: str) -> Any:
    return task("TASK_STATUS_SUCCEED", seed=seed, url="http://127.0.0.1:1/video.mp4")


def test_a_task_is_attached(admin_client: Client, alice: Caller, upstream: Upstream) -> None:
    g = doubtful(alice, seed=7)
    upstream.on_poll = finished("7")
    answer = admin_client.post(address("attach", g), {**GIVEN, "upstream_id": " found-1 "}, follow=True)
    assert answer.redirect_chain == [(address("change", g), 302)]
    assert f"Attach upstream task: done for {g.pk}." in answer.content.decode()
    assert (standing(g), kinds(g)) == (("running", "", "found-1"), ["hold"])
    assert upstream.polls == ["found-1"]
    assert lines() == [("admin", "doubt: attach", str(g.pk))]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.tenant, entry.reason) == (alice.tenant, "support said so")
    assert entry.changes == {"upstream_id": "found-1", "usd_at_risk": "0.088209"}


@pytest.mark.parametrize(
    ("action", "stands", "left"),
    [
        ("resubmit", ("queued", "", None), ["hold"]),
        ("release", ("failed", "not_submitted", None), ["hold", "release"]),
        ("give_up", ("failed", "submit_unconfirmed", None), ["hold", "release"]),
    ],
)
def test_a_doubt_is_resolved_once(
    admin_client: Client, alice: Caller, action: str, stands: Any, left: list[str]
) -> None:
    g = doubtful(alice)
    assert admin_client.post(address(action, g), GIVEN)["Location"] == address("change", g)
    assert "no longer in doubt" in admin_client.post(address(action, g), GIVEN).content.decode()
    assert (standing(g), kinds(g)) == (stands, left)
    assert lines() == [("admin", f"doubt: {action.replace('_', ' ')}", str(g.pk))]
    assert AuditEntry.objects.latest("pk").reason == "support said so"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (finished("8"), "That task was made from seed 8, this generation from 7."),
        (task("TASK_STATUS_PROCESSING", progress=40), "That task is still rendering"),
        (task("TASK_STATUS_FAILED", reason="too dark"), "That task failed (too dark). Release the generation instead."),
        (refusal(404, "TASK_NOT_FOUND"), "The upstream does not show that task"),
        (as_json({"nonsense": SCRIPT}), "The upstream does not show that task"),
    ],
)
def test_a_task_that_is_not_its_own_is_refused_in_a_sentence_and_nothing_typed_is_lost(
    admin_client: Client, alice: Caller, upstream: Upstream, answer: Any, sentence: str
) -> None:
    g = doubtful(alice, seed=7)
    upstream.on_poll = answer
    page = admin_client.post(address("attach", g), GIVEN).content.decode()
    assert sentence in page
    assert SCRIPT not in page
    assert 'value="found-1"' in page
    assert 'value="support said so"' in page
    assert (standing(g), lines()) == (("in_doubt", "", None), [])


def test_the_task_of_another_generation_is_refused(admin_client: Client, alice: Caller, upstream: Upstream) -> None:
    g, other = doubtful(alice), make_generation(alice)
    Generation.objects.filter(pk=other.pk).update(status="running", upstream_id="found-1")
    assert "belongs to another generation" in admin_client.post(address("attach", g), GIVEN).content.decode()
    assert (standing(g), upstream.polls) == (("in_doubt", "", None), [])


@pytest.mark.parametrize(
    ("task_id", "sentence"),
    [
        ("", "This field is required."),
        ("x" * 201, "at most 200 characters"),
        ("zero\u200bwidth", "1 to 200 printable characters"),
    ],
)
def test_what_is_no_task_id_is_an_error_of_the_form(
    admin_client: Client, alice: Caller, upstream: Upstream, task_id: str, sentence: str
) -> None:
    g = doubtful(alice)
    page = admin_client.post(address("attach", g), {**GIVEN, "upstream_id": task_id}).content.decode()
    assert sentence in page
    assert (standing(g), upstream.polls) == (("in_doubt", "", None), [])


@pytest.mark.parametrize("action", ACTS)
def test_no_act_without_a_reason_and_none_by_looking(
    admin_client: Client, alice: Caller, upstream: Upstream, action: str
) -> None:
    g = doubtful(alice)
    assert admin_client.get(address(action, g), GIVEN).status_code == 200
    for reason in ("", "  "):
        answer = admin_client.post(address(action, g), {**GIVEN, "reason": reason})
        assert "This field is required." in answer.content.decode()
    assert (standing(g), lines(), upstream.polls) == (("in_doubt", "", None), [], [])


@pytest.mark.parametrize(("action", "warning"), [("resubmit", "may pay twice"), ("give_up", "is ours to bear")])
def test_an_act_that_may_cost_says_so(admin_client: Client, alice: Caller, action: str, warning: str) -> None:
    assert warning in admin_client.get(address(action, doubtful(alice))).content.decode()


@pytest.mark.parametrize("action", ACTS)
def test_what_is_not_in_doubt_has_no_button_and_is_refused(
    admin_client: Client, alice: Caller, upstream: Upstream, action: str
) -> None:
    g = make_generation(alice, seed=7)
    upstream.on_poll = finished("7")
    page = admin_client.get(address("change", g)).content.decode()
    assert address(action, g) not in page
    assert "USD at risk" not in page
    assert "no longer in doubt" in admin_client.post(address(action, g), GIVEN).content.decode()
    assert (standing(g), kinds(g), lines()) == (("queued", "", None), ["hold"], [])


@pytest.mark.parametrize("action", ACTS)
def test_who_may_only_look_has_no_button_and_may_not_act(alice: Caller, upstream: Upstream, action: str) -> None:
    g = doubtful(alice)
    viewer = staff("view_generation", "view_tenant", "change_tenant")
    page = viewer.get(address("change", g)).content.decode()
    assert "USD at risk" in page
    assert address(action, g) not in page
    assert viewer.get(address(action, g)).status_code == 403
    assert viewer.post(address(action, g), GIVEN).status_code == 403
    assert Client().post(address(action, g), GIVEN)["Location"].startswith(reverse("admin:login"))
    assert (standing(g), lines(), upstream.polls) == (("in_doubt", "", None), [], [])


def test_who_may_act_may_still_not_edit(alice: Caller) -> None:
    g = doubtful(alice)
    http = staff("change_generation")
    page = http.get(address("change", g)).content.decode()
    assert [action for action in ACTS if address(action, g) in page] == ACTS
    assert 'name="seed"' not in page
    assert http.post(address("change", g), {"seed": "8"}).status_code == 403
    assert http.post(address("delete", g), {"post": "yes"}).status_code == 403
    assert http.post(address("release", g), GIVEN).status_code == 302
    assert lines() == [("viewer", "doubt: release", str(g.pk))]


def test_every_act_wants_the_token_of_its_form(alice: Caller, admin_user: User) -> None:
    g, http = doubtful(alice), Client(sends_csrf_token=False)
    http.force_login(admin_user)
    assert [http.post(address(action, g), GIVEN).status_code for action in ACTS] == [403] * 4
    assert standing(g)[0] == "in_doubt"


def test_what_is_not_there_is_no_accident(admin_client: Client) -> None:
    for object_id in ("0", "x", "01a20f7a-816c-7b30-9e42-3c634c0984b8"):
        path = reverse("admin:generations_generation_release", args=[object_id])
        assert admin_client.get(path).status_code == 404
        assert admin_client.post(path, GIVEN).status_code == 404


def test_the_page_shows_what_ops_need_to_decide(admin_client: Client, alice: Caller) -> None:
    g = doubtful(alice, seed=4711)
    sent = g.submitted_at
    assert sent is not None
    with time_machine.travel(sent + timedelta(hours=3, seconds=1), tick=False):
        admin_client.force_login(User.objects.get())  # a session does not last so long
        page = admin_client.get(address("change", g)).content.decode().replace("\xa0", " ")
    assert f"{sent:%Y-%m-%d %H:%M:%S} UTC, sent 3 h ago" in page
    assert f"{sent + timedelta(hours=24):%Y-%m-%d %H:%M:%S} UTC, in 20 h 59 min" in page
    assert re.search(r"USD at risk.*0\.088209", page, re.DOTALL)
    assert "4711" in page
    assert "the connection broke" in page


def test_doubts_stand_out_in_the_list_and_are_found_in_it(admin_client: Client, alice: Caller) -> None:
    g, waiting = doubtful(alice), make_generation(alice)
    every = admin_client.get(address("changelist")).content.decode()
    found = admin_client.get(address("changelist"), {"status__exact": "in_doubt"}).content.decode()
    assert "status__exact=in_doubt" in every
    assert (str(g.pk) in every, str(waiting.pk) in every) == (True, True)
    assert (str(g.pk) in found, str(waiting.pk) in found) == (True, False)
    assert "In doubt" in found


def test_its_history_is_what_ops_did_to_it(admin_client: Client, alice: Caller) -> None:
    g, other = doubtful(alice), doubtful(alice)
    in_doubt.release(OPS, g)
    in_doubt.give_up(OPS, other)
    page = admin_client.get(address("history", g), follow=True).content.decode()
    assert "doubt: release" in page
    assert str(other.pk) not in page


# The tenant's policy


def policy(tenant: Tenant, **given: str) -> dict[str, str]:
    wants = {"on_doubt": tenant.on_doubt, "submit_deadline": "", "reason": "asked for"}
    return {"name": tenant.name, "time_zone": "UTC", **wants, **given}


@pytest.fixture
def change(admin_client: Client, alice: Caller) -> Callable[..., Any]:
    """Posts Alice's form with what is given, and answers with the page."""
    path = reverse("admin:tenants_tenant_change", args=[alice.tenant.pk])
    return lambda **given: admin_client.post(path, policy(alice.tenant, **given))


def test_a_tenants_policy_is_changed_and_audited(change: Any, alice: Caller) -> None:
    assert change(on_doubt="resubmit", submit_deadline="5400").status_code == 302
    tenant = Tenant.objects.get(pk=alice.tenant.pk)
    assert (tenant.on_doubt, tenant.submit_deadline) == ("resubmit", 5400)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.reason) == ("admin", "change tenant", "asked for")
    assert entry.changes == {"on_doubt": ["hold", "resubmit"], "submit_deadline": [None, 5400]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"submit_deadline": "0"},
        {"submit_deadline": "-1"},
        {"submit_deadline": "soon"},
        {"submit_deadline": "604801"},
        {"submit_deadline": str(10**9)},
        {"submit_deadline": str(10**30)},
        {"on_doubt": "shrug"},
        {"on_doubt": ""},
    ],
)
def test_a_wrong_policy_is_an_error_of_its_field(change: Any, alice: Caller, wrong: dict[str, str]) -> None:
    answer = change(**wrong)
    assert answer.status_code == 200
    assert set(answer.context["adminform"].form.errors) == set(wrong)
    assert Tenant.objects.get(pk=alice.tenant.pk).submit_deadline is None
    assert not AuditEntry.objects.filter(actor="admin").exists()


def test_the_policy_that_may_cost_says_so(admin_client: Client, alice: Caller) -> None:
    page = admin_client.get(reverse("admin:tenants_tenant_change", args=[alice.tenant.pk])).content.decode()
    assert re.search(r'<option value="resubmit">[^<]*may pay twice', page)
