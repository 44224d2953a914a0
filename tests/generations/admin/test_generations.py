"""The panel's generations: found by whatever ops have of one, read on one page, acted on only where it makes sense."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from generations import lifecycle
from generations.admin import action_pages, generation_page
from generations.bucket.errors import StorageError
from generations.models import Generation
from tenants.models import AuditEntry
from tests.generations.test_lifecycle import REACHABLE_STATUSES, put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation, make_image

pytestmark = pytest.mark.one_database

LIST = reverse("admin:generations_generation_changelist")
SEEDS = reverse("admin:generations_seedrecord_changelist")
NAMES = {"nudge": "run_now"}  # of actions whose address has another name
SCRIPT = "<script>alert(1)</script>"


def page_of(g: Generation, name: str = "change") -> str:
    return reverse(f"admin:generations_generation_{name}", args=[g.pk])


def found(http: Client, address: str = LIST, **query: Any) -> set[str]:
    answer = http.get(address, query)
    assert answer.status_code == 200
    return {str(row.pk) for row in answer.context["cl"].result_list}


@pytest.mark.parametrize("address", [LIST, SEEDS])
def test_one_is_found_by_whatever_is_known_of_it(
    admin_client: Client, alice: Caller, bob: Caller, address: str
) -> None:
    g, _ = put_in(alice, "succeeded")
    Generation.objects.filter(pk=g.pk).update(external_id="order 7", seed=4711, video_sha256="cd" * 32)
    g.refresh_from_db()
    other = make_generation(bob, seed=1, image=make_image(bob.tenant, b"another"))
    assert g.image is not None
    for term in (str(g.pk), g.pk.hex, g.upstream_id, "order 7", alice.key.prefix, alice.key_text, "4711"):
        assert found(admin_client, address, q=term) == {str(g.pk)}, term
    for sha256 in (g.video_sha256, g.video_sha256.upper(), g.image.sha256):
        assert found(admin_client, address, q=sha256) == {str(g.pk)}
    assert found(admin_client, address, q=f" {other.pk} ") == {str(other.pk)}


@pytest.mark.parametrize("term", ["nothing of it", "9" * 400, "0" * 64, "-1", "%' OR 1=1 --", "sds_live_x"])
def test_what_is_nobodys_finds_nothing(admin_client: Client, alice: Caller, term: str) -> None:
    make_generation(alice)
    assert found(admin_client, q=term) == set()


def test_no_word_is_looked_for_in_every_row(
    admin_client: Client, alice: Caller, django_assert_max_num_queries: Any
) -> None:
    make_generation(alice)
    with django_assert_max_num_queries(12) as asked:
        found(admin_client, q="order 7")
    assert not [query for query in asked.captured_queries if " LIKE " in query["sql"] or "COUNT(" in query["sql"]]


@pytest.mark.parametrize("model", ["generation", "seedrecord", "delivery"])
def test_no_list_reads_all_rows_for_its_filters(admin_client: Client, model: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        admin_client.get(reverse(f"admin:generations_{model}_changelist"))
    assert not [query for query in asked.captured_queries if "DISTINCT" in query["sql"] or "COUNT(" in query["sql"]]


def test_the_list_is_narrowed(admin_client: Client, alice: Caller, bob: Caller) -> None:
    old, _ = put_in(alice, "running")
    Generation.objects.filter(pk=old.pk).update(submitted_at=timezone.now() - timedelta(hours=2))
    uncopied, _ = put_in(bob, "copying")
    Generation.objects.filter(pk=uncopied.pk).update(consecutive_failures=2)
    over, _ = put_in(bob, "failed")
    waiting = make_generation(bob)
    ids = {name: str(g.pk) for name, g in {"old": old, "uncopied": uncopied, "over": over, "due": waiting}.items()}
    assert found(admin_client) == set(ids.values())
    assert found(admin_client, attention="stalled") == {ids["old"]}
    assert found(admin_client, attention="uncopied") == {ids["uncopied"]}
    assert found(admin_client, attention="due") == {ids["due"]}
    assert found(admin_client, attention="live") == set(ids.values()) - {ids["over"]}
    assert found(admin_client, status__exact="failed") == {ids["over"]}
    assert found(admin_client, tenant__id__exact=alice.tenant.pk) == {ids["old"]}
    assert found(admin_client, resolution="480p") == set(ids.values())
    assert found(admin_client, resolution="1080p") == set()
    assert found(admin_client, within="hour") == set(ids.values())
    assert found(admin_client, mode="test") == set()


@pytest.mark.parametrize("status", REACHABLE_STATUSES)
def test_the_page_tells_its_whole_life_and_offers_what_can_be_done(
    admin_client: Client, alice: Caller, status: str
) -> None:
    g, _ = put_in(alice, status)
    text = admin_client.get(page_of(g)).content.decode()
    for event in g.events.all():
        assert event.get_status_display() in text
    assert ("<video" in text) == (status == "succeeded")
    offered = set(re.findall(rf'href="[^"]*/{g.pk}/([a-z-]+)/?"', text)) - {"change", "history", "video"}
    assert {NAMES.get(path, path.replace("-", "_")) for path in offered} == set(action_pages.available_actions(g))


def test_the_video_plays_by_a_fresh_url_each_time(admin_client: Client, alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    assert page_of(g, "video") in admin_client.get(page_of(g)).content.decode()
    answer = admin_client.get(page_of(g, "video"))
    assert answer.status_code == 302
    assert "X-Amz-Signature" in answer["Location"]
    Generation.objects.filter(pk=g.pk).update(deleted_at=timezone.now())
    assert admin_client.get(page_of(g, "video")).status_code == 404
    assert Client().get(page_of(g, "video")).status_code == 302  # to the login
    User.objects.create_user("nobody", is_staff=True)
    stranger = Client()
    stranger.force_login(User.objects.get(username="nobody"))
    assert stranger.get(page_of(g, "video")).status_code == 404


def test_the_page_opens_although_the_keys_of_s3_are_lost(admin_client: Client, alice: Caller, monkeypatch: Any) -> None:
    def lost(*args: Any, **options: Any) -> str:
        raise StorageError("NoCredentialsError")

    g, _ = put_in(alice, "succeeded")
    monkeypatch.setattr("generations.bucket.signed_urls.sign", lost)
    for address in (page_of(g), LIST):
        assert admin_client.get(address).status_code == 200
    assert admin_client.get(page_of(g, "video")).status_code == 503


@pytest.mark.parametrize(
    ("name", "status", "given", "stands"),
    [
        ("cancel", "queued", {}, "cancelled"),
        ("run_now", "running", {}, "running"),
        ("retry_copy", "copying", {}, "copying"),
        ("fail", "running", {}, "failed"),
        ("delete_files", "failed", {}, "failed"),
        ("rerun", "failed", {"seed": "-1"}, "failed"),
    ],
)
def test_an_act_asks_why_and_is_done_once_confirmed(
    admin_client: Client, alice: Caller, bucket: Any, name: str, status: str, given: dict[str, str], stands: str
) -> None:
    g, _ = put_in(alice, status)
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    known = Generation.objects.filter(pk=g.pk).values().get()
    assert admin_client.get(page_of(g, name)).status_code == 200
    assert "This field is required" in admin_client.post(page_of(g, name), given).content.decode()
    assert Generation.objects.filter(pk=g.pk).values().get() == known  # looking, or no reason, does nothing
    answer = admin_client.post(page_of(g, name), {**given, "reason": "asked for"})
    assert answer.status_code == 302, answer.context["form"].errors
    g.refresh_from_db()
    assert g.status == stands
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.target, entry.reason) == ("admin", str(g.pk), "asked for")


def test_many_are_acted_on_with_one_reason_and_what_can_not_be_is_named(admin_client: Client, alice: Caller) -> None:
    waiting, running = make_generation(alice), put_in(alice, "running")[0]
    chosen = {"action": "cancel_selected", "_selected_action": [str(waiting.pk), str(running.pk)]}
    asked = admin_client.post(LIST, chosen).content.decode()
    assert str(waiting.pk) in asked
    assert Generation.objects.filter(status="cancelled").count() == 0
    page = admin_client.post(LIST, {**chosen, "reason": "a flood"}, follow=True).content.decode()
    assert "Cancel: done for 1 of 2." in page
    assert f"{running.pk}: It is running now." in page
    assert [row.reason for row in AuditEntry.objects.filter(action="generation: cancel")] == ["a flood"]
    assert Generation.objects.get(pk=waiting.pk).status == "cancelled"


def test_who_may_only_look_is_offered_no_act(alice: Caller) -> None:
    g = make_generation(alice)
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_generation"))
    http = Client()
    http.force_login(user)
    text = http.get(page_of(g)).content.decode()
    assert f"{g.pk}/cancel" not in text
    assert "Ledger" not in text
    assert http.post(page_of(g, "cancel"), {"reason": "I want to"}).status_code == 403
    http.post(LIST, {"action": "cancel_selected", "_selected_action": [str(g.pk)], "reason": "I want to"})
    assert http.get(reverse("admin:generations_generation_add")).status_code == 403
    assert http.post(page_of(g, "delete"), {"post": "yes"}).status_code == 403
    assert Generation.objects.get().status == "queued"


def test_what_a_caller_wrote_is_text_everywhere(admin_client: Client, alice: Caller) -> None:
    g = make_generation(
        alice, prompt=SCRIPT, external_id=SCRIPT, metadata={SCRIPT: SCRIPT}, image_url=f"https://a.example/{SCRIPT}"
    )
    lifecycle.fail(g, "upstream_failed", SCRIPT)
    for address in (page_of(g), LIST, SEEDS, f"{LIST}?q={SCRIPT}"):
        text = admin_client.get(address).content.decode()
        assert SCRIPT not in text
    assert "&lt;script&gt;" in admin_client.get(page_of(g)).content.decode()


def test_a_seed_is_found_across_tenants_and_exported(admin_client: Client, alice: Caller, bob: Caller) -> None:
    mine = make_generation(alice, seed=42, prompt="=cmd|' /C calc'!A0", external_id="@evil", seed_source="drawn")
    theirs = make_generation(bob, seed=42, prompt='a "quoted", line\nbreak')
    make_generation(bob, seed=43)
    assert found(admin_client, SEEDS, q="42") == {str(mine.pk), str(theirs.pk)}
    export = reverse("admin:generations_seedrecord_export")
    assert f'href="{export}?q=42"' in admin_client.get(SEEDS, {"q": "42"}).content.decode()
    answer: Any = admin_client.get(export, {"q": "42"})
    assert answer["Content-Type"].startswith("text/csv")
    lines = answer.content.decode().split("\r\n")
    assert lines[0].startswith("seed,seed_source,upstream_seed,id,tenant__name")
    assert len(lines) == 4  # a head, two rows, and nothing after the last end of line
    assert f"42,drawn,,{mine.pk},alice,'@evil" in lines[2]
    assert "'=cmd|' /C calc'!A0" in lines[2]
    assert '"a ""quoted"", line\nbreak"' in lines[1]
    assert admin_client.get(reverse("admin:generations_seedrecord_change", args=[mine.pk]))["Location"] == page_of(mine)


def test_a_stranger_exports_nothing(alice: Caller) -> None:
    make_generation(alice)
    User.objects.create_user("nobody", is_staff=True)
    http = Client()
    http.force_login(User.objects.get(username="nobody"))
    assert http.get(reverse("admin:generations_seedrecord_export")).status_code == 403


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (10, "10 s"), (200, "3 min 20 s"), (18600, "5 h 10 min"), (273600, "3 d 4 h")],
)
def test_spans_read_well(seconds: float, shown: str) -> None:
    assert generation_page.format_span(timedelta(seconds=seconds)) == shown
