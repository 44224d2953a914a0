"""The panel's pages of models: how each fares, when it ends, what is unknown of it, and the actions of operators."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from generations.admin import account_entries
from generations.catalog import states, video_models
from generations.models import Generation, ModelState
from generations.ops import model_states
from generations.reports import model_statistics
from generations.upstream import circuit_breaker, routes
from tenants.audit import Actor
from tenants.models import AuditEntry
from tests.generations.admin.rows import list_ids
from tests.http_client import Client
from tests.support import wired_models
from tests.support.factories import Caller, make_generation
from tests.tenants.admin.test_guards import text_of

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
LIST = reverse("admin:generations_modelstate_changelist")
OLGA = Actor(name="olga", reason="the vendor's notice")
REASON = {"reason": "the vendor's notice"}


def page(model: str, name: str = "change") -> str:
    """Return the address of a page about the model."""
    return reverse(f"admin:generations_modelstate_{name}", args=[model])


def finish(caller: Caller, status: str, at: datetime, seconds: int = 40, **facts: Any) -> None:
    """Make a generation that finished at that time, so many seconds after its create."""
    generation = make_generation(caller, **facts)
    ended: dict[str, Any] = {"status": status, "finished_at": at, "due_at": None}
    if status == "failed":
        ended |= {"error_code": "upstream_failed", "error_message": "It failed."}
    else:
        ended |= {
            "upstream_id": str(generation.pk),
            "video_key": "v",
            "poster_key": "p",
            "video_size": 1,
            "video_sha256": "ab",
        }
    Generation.objects.filter(pk=generation.pk).update(created_at=at - timedelta(seconds=seconds), **ended)


def row_of(http: Client, model: str) -> list[str]:
    """Return the cells of the model's row in the list."""
    text = http.get(LIST).content.decode()
    [row] = [part for part in text.split("<tr>") if f">{model}</a>" in part]
    return [" ".join(cell.split("</t")[0].split()) for cell in row.split("<td")[1:]]


def test_the_list_shows_each_model_as_it_fared_in_the_last_day(
    admin_client: Client, alice: Caller, settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = "https://sandbox.example.com"
    now = timezone.now()
    for hours in (1, 2, 3):
        finish(alice, "succeeded", now - timedelta(hours=hours))
    finish(alice, "failed", now - timedelta(hours=1))
    finish(alice, "failed", now - timedelta(hours=30))  # too long ago
    finish(alice, "succeeded", now - timedelta(hours=50), model=PRO)
    finish(alice.with_key(test=True), "failed", now - timedelta(hours=1))
    text = admin_client.get(LIST).content.decode()
    assert all(f">{name}</a>" in text for name in video_models.models())
    cells = row_of(admin_client, LITE)
    assert cells[0].endswith("i2v")
    assert (now - timedelta(hours=1)).astimezone(UTC).strftime("%Y-%m-%d %H:%M") in cells[4]
    assert [cell.rpartition(">")[2] for cell in cells[5:8]] == ["3", "1", "75.0%"]
    assert 36 <= int(cells[8].rpartition(">")[2].removesuffix(" s")) <= 44
    assert "USD per million tokens" in cells[9]
    assert (now - timedelta(hours=50)).astimezone(UTC).strftime("%Y-%m-%d %H:%M") in row_of(admin_client, PRO)[4]


def test_the_list_takes_no_more_queries_with_more_generations(
    admin_client: Client, alice: Caller, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        finish(alice, "succeeded", timezone.now() - timedelta(minutes=number))
    with django_assert_max_num_queries(12 + len(video_models.models())):
        admin_client.get(LIST)


def test_a_model_that_ends_soon_has_a_badge(admin_client: Client) -> None:
    assert "ends in" not in text_of(admin_client.get(LIST))
    day = timezone.now().astimezone(UTC).date() + timedelta(days=10)
    model_states.deprecate(OLGA, video_models.models()[LITE], day, PRO)
    states.forget()
    assert "ends in 10 days" in text_of(admin_client.get(LIST))
    routes.pause(PRO, "novita", "API_NOT_FOUND")
    assert "route gone" in text_of(admin_client.get(LIST))
    assert routes.GONE in text_of(admin_client.get(page(PRO)))


def test_the_dashboard_warns_of_an_end_and_of_a_route_that_is_gone(admin_client: Client) -> None:
    day = timezone.now().astimezone(UTC).date() + timedelta(days=30)
    model_states.deprecate(OLGA, video_models.models()[LITE], day, PRO)
    routes.pause(PRO, "novita", "API_NOT_FOUND")
    states.forget()
    text = admin_client.get("/admin/").content.decode()
    assert f"Retires: {LITE}" in text
    assert f"replaced by {PRO}" in text
    assert f"Paused: Model {PRO} at the novita account" in text
    assert f"the service: {routes.GONE}" in text
    assert page(LITE) in text
    assert page(PRO) in text


def test_the_page_of_a_model_says_what_is_unknown_and_where_it_comes_from(admin_client: Client, alice: Caller) -> None:
    text = text_of(admin_client.get(page("wan2.6-i2v")))
    row = video_models.models()["wan2.6-i2v"].row
    assert row.title in text
    assert row.unknown[0].split(".")[0][:30] in text
    assert "2026-09-30" in text
    assert "Restore model" in text
    assert "Retire model" not in text
    assert admin_client.get(page("no-such-model")).status_code == 302  # to the dashboard, as of any row that is not


def test_a_model_is_deprecated_retired_and_restored(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    form = {**REASON, "replacement": PRO, "retires_at": "2099-01-31"}
    done = admin_client.post(page(LITE, "deprecate"), form, follow=True)
    assert "2099-01-31, announced on" in text_of(done)
    row = ModelState.objects.get()
    assert (row.model, row.state, row.retires_at, row.replacement) == (LITE, "deprecated", date(2099, 1, 31), PRO)
    assert f'value="{PRO}" selected' in admin_client.get(page(LITE, "retire")).content.decode()
    retired = admin_client.post(page(LITE, "retire"), {**REASON, "replacement": PRO}, follow=True)
    assert f"{LITE} is retired: 1 queued generations fail" in text_of(retired)
    states.forget()
    assert alice.http.post("/v1/generations", {"image": "x", "resolution": "480p"}, format="json").status_code == 410
    admin_client.post(page(LITE, "restore"), REASON)
    assert not states.read(video_models.models()[LITE]).is_retired
    entries = AuditEntry.objects.filter(actor="admin").order_by("id")
    assert [(entry.action, entry.target, entry.reason) for entry in entries] == [
        (f"model: {name}", LITE, REASON["reason"]) for name in ("deprecate", "retire", "restore")
    ]
    history = admin_client.get(page(LITE, "history"))
    assert history["Location"].endswith(f"target__exact={LITE}")


@pytest.mark.parametrize(
    ("action", "form", "said"),
    [
        ("deprecate", {"retires_at": "2020-01-31"}, "has begun (UTC)"),
        ("deprecate", {"replacement": LITE}, "A model can not take its own place."),
        ("retire", {"replacement": "sora"}, "Select a valid choice."),
        ("hide", {"reason": ""}, "This field is required."),
    ],
)
def test_what_makes_no_sense_is_an_error_of_the_form(
    admin_client: Client, action: str, form: dict[str, str], said: str
) -> None:
    assert said in text_of(admin_client.post(page(LITE, action), {**REASON, **form}))
    assert not ModelState.objects.exists()


def test_the_list_of_generations_is_filtered_by_model(admin_client: Client, alice: Caller) -> None:
    lite, pro = (make_generation(alice, model=name) for name in (LITE, PRO))
    assert list_ids(admin_client, model=PRO) == {str(pro.pk)}
    assert list_ids(admin_client, model=LITE) == {str(lite.pk)}
    assert reverse("admin:generations_generation_changelist", query={"model": PRO}) in row_of(admin_client, PRO)[-1]


def test_a_model_names_its_accounts_and_the_one_that_takes_its_next_submit(
    admin_client: Client, settings: Any, tmp_path: Path
) -> None:
    name = "acme-everywhere-1-t2v"
    settings.CATALOG_DIR = wired_models.write(tmp_path, name, "ark", ["ark", "novita"])

    def accounts() -> list[tuple[str, str, bool]]:
        offers = account_entries.offers_of(video_models.models()[name])
        return [(offer.account, offer.state, offer.is_next) for offer in offers]

    assert accounts() == [("ark", "no key", False), ("novita", "takes submits", True)]
    settings.ARK_API_KEY = "the-key-of-ark"
    assert accounts() == [("ark", "takes submits", True), ("novita", "takes submits", False)]
    text = text_of(admin_client.get(page(name)))
    assert f"ark: {name}-at-ark (takes submits, next submit); novita: {name}-at-novita (takes submits)" in text
    routes.pause(name, "ark", "ModelNotOpen")
    assert accounts() == [("ark", routes.GONE, False), ("novita", "takes submits", True)]
    assert f"ark ({routes.GONE}), <strong>novita</strong>" in row_of(admin_client, name)[-2]
    circuit_breaker.pause("novita", "no balance", retry_after=60)
    assert accounts() == [("ark", routes.GONE, False), ("novita", "paused", False)]


def test_a_model_without_a_success_has_none(db: None) -> None:
    assert model_statistics.last_success(LITE) is None
    assert model_statistics.count_last_day(timezone.now()) == {}
