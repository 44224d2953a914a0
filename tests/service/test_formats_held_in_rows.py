"""Formats that the rows of databases in use hold: sealed secrets, names of objects, windows, texts of actions.

Each literal here stands in rows that earlier releases wrote. A test that fails shows code that no longer writes, or no
longer reads, what they wrote. Mend the code: a changed literal only hides that the rows have lost their meaning.
"""

import base64
import json
import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.urls import reverse

from generations.models import Delivery, Generation, MaintenanceCursor, Pace, Pause, WebhookEndpoint
from tenants.models import ApiKey, AuditEntry, LedgerEntry
from tenants.money import monthly_statement
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client, with_key
from tests.support.factories import Caller, make_generation, make_image
from tests.support.images import mp4
from tests.support.receiver import run_receiver
from tests.support.upstream import Upstream, refusal, task
from tests.support.webhooks import attempt_all, make_endpoint, make_failed
from tests.support.worker import take_step, take_steps_until

pytestmark = pytest.mark.django_db

CREATES = "/v1/generations"
SMALLEST = {"image": "https://pictures.example.com/a.png", "resolution": "480p"}
HOOK = "https://hooks.example.com/done"
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
SEALED = (  # by SECRET_KEY "the key of then"
    "gAAAAABrDAYvTO3H1bPxneFswxxsOqOj9pyrSyTP6IvySmUnHiYjSMdLoSztBylj4sQP8jYkE1KDyjBqODeR2S5tEbP7IABYieUzJ_ur0N60pF7"
    "hv9BCdm0oplVQLMoLGq2SVhGl81G1gkxpD0yVo-pKzeuQ2McvLw=="
)


@pytest.mark.parametrize(("key", "fallbacks"), [("the key of then", []), ("a newer key", ["the key of then"])])
def test_a_webhook_secret_that_is_stored_still_signs(
    alice: Caller, settings: Any, key: str, fallbacks: list[str]
) -> None:
    """Were the key derived otherwise, the secret of every webhook would be lost, and no receiver could check a call."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, fallbacks
    with run_receiver(settings) as receiver:
        endpoint = make_endpoint(alice, receiver.url)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(secret=SEALED)
        make_failed(alice)
        attempt_all()
        [post] = receiver.posts
    assert post.verify(SECRET)["type"] == "generation.failed"


def test_an_api_key_that_callers_hold_still_opens(alice: Caller) -> None:
    """Callers keep the text; the row keeps its prefix, its digest and the names of its scopes."""
    prefix, digest = "sds_live_000000000000", "ecc94c1387edaf736da8e88b93fe369207d66c6b1ae0db5268e01ff2dd46bd08"
    scopes = ["generations:write", "generations:read", "usage:read", "webhooks:manage"]
    ApiKey.objects.create(tenant=alice.tenant, prefix=prefix, digest=digest, scopes=scopes)
    http = with_key(f"{prefix}_{'0' * 43}0djTIX")
    assert http.post(CREATES, SMALLEST, format="json").status_code == 202
    for path in (CREATES, "/v1/usage", "/v1/webhook-endpoints"):
        assert http.get(path).status_code == 200
    assert alice.key.scopes == scopes


def test_objects_in_the_bucket_have_the_names_that_rows_hold(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any]
) -> None:
    """Rows hold whole names; IAM policies, rules of the bucket and the search for orphans hold how they begin."""
    assert alice.http.post(CREATES, body, format="json").status_code == 202
    row = take_steps_until(Generation.objects.get(), "running")
    upstream.video(mp4())
    row = take_steps_until(row, "succeeded")
    tenant, image = alice.tenant.pk, row.image
    assert image is not None
    name = f"videos/{tenant}/{row.created_at:%Y/%m}/{row.pk}-{row.fencing_token}"
    expected = (f"{name}.mp4", f"{name}.jpg", f"inputs/{tenant}/{image.sha256}")
    assert (row.video_key, row.poster_key, image.key) == expected
    stored = bucket.list_objects_v2(Bucket="seedance-tests")["Contents"]
    assert {one["Key"] for one in stored} == set(expected)
    assert alice.http.delete(f"{CREATES}/{row.pk}").status_code == 204
    assert alice.http.post(CREATES, body, format="json").status_code == 202
    image.refresh_from_db()
    assert re.fullmatch(rf"inputs/{tenant}/{image.sha256}-[0-9a-f]{{16}}", image.key)


def test_a_hold_names_the_windows_that_it_was_charged_to(alice: Caller) -> None:
    """A release finds the very counters by these texts, months later too."""
    call_command("tenant", "limit", "alice", "--time-zone", "America/New_York", "--json")
    with time_machine.travel(datetime(2027, 3, 1, 3, 30, 59, 500000, tzinfo=UTC), tick=False):
        assert alice.http.post(CREATES, SMALLEST, format="json").status_code == 202
    hold = LedgerEntry.objects.get()
    assert (hold.kind, hold.month, hold.item) == ("hold", date(2027, 2, 1), "seedance-v1-lite-i2v 480p 5 s")
    assert sorted(hold.windows) == [
        ["in_flight", "1970-01-01T00:00:00+00:00", 1],
        ["per_day", "2027-02-28T05:00:00+00:00", 1],
        ["per_month", "2027-02-01T05:00:00+00:00", 1],
        ["requests_per_minute", "2027-03-01T03:30:00+00:00", 1],
        ["seconds_per_month", "2027-02-01T05:00:00+00:00", 5],
        ["usd_per_month", "2027-02-01T05:00:00+00:00", 88209],
    ]


def test_a_bill_finds_the_model_at_the_start_of_an_item(alice: Caller) -> None:
    """Holds of each release name the model first and then a space: bills of past months add up by model with it."""
    for number, item in enumerate(("seedance-v1-lite-i2v 480p 5 s", "kling-v3.0-std-t2v 3 s audio", "gone-1 5 s")):
        pk = UUID(int=number)
        facts = {"tenant": alice.tenant, "generation_id": pk, "amount_micro": 1_000_000, "month": date(2026, 11, 1)}
        LedgerEntry.objects.create(kind="hold", item=item, seconds=5, at=datetime(2026, 11, 5, tzinfo=UTC), **facts)
        LedgerEntry.objects.create(kind="capture", **facts)
    statement = monthly_statement.build(alice.tenant, date(2026, 11, 1))
    assert [row["model"] for row in statement.rows] == ["gone-1", "kling-v3.0-std-t2v", "seedance-v1-lite-i2v"]
    assert statement.models[2] == {
        "model": "seedance-v1-lite-i2v",
        "generations": 1,
        "seconds": 5,
        "usd": "1.000000",
    }
    # Captures of the releases that had one account alone do not name it.
    assert {row["account"] for row in statement.rows} == {""}
    assert statement.accounts == [{"account": "", "generations": 3, "seconds": 15, "usd": "3.000000"}]


def test_pruning_goes_on_where_its_rows_say(alice: Caller, bucket: Any) -> None:
    row, _ = put_in(alice, "failed")
    Generation.objects.filter(pk=row.pk).update(finished_at=datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    call_command("prune", "--json")
    assert dict(MaintenanceCursor.objects.values_list("name", "position")) == {
        "events": "2020-01-02T03:04:05.000006+00:00",
        "orphans": "",
    }


def test_the_upstreams_pause_and_pace_have_their_names(
    alice: Caller, upstream: Upstream, bucket: Any, settings: Any
) -> None:
    """Migration 0027 gave the rows the names of accounts, which metrics have as values of a label."""
    settings.SANDBOX_BASE_URL, settings.UPSTREAM_RPM = upstream.url, 6000
    upstream.on_submit = refusal(403, "INVALID_API_KEY")
    bucket.put_object(Bucket="seedance-tests", Key=make_image(alice.tenant).key, Body=b"abc")
    for caller in (alice, alice.with_key(test=True)):
        take_step(make_generation(caller))
    assert set(Pause.objects.values_list("upstream", flat=True)) == {"novita", "sandbox"}
    assert set(Pace.objects.values_list("upstream", flat=True)) == {"novita"}


def test_a_session_of_the_panel_says_since_when_and_until_when_it_is_used(db: None) -> None:
    """A user who is logged in while a release is replaced stays logged in, and no longer than allowed."""
    User.objects.create_superuser("olga", password="a-long-enough-password")
    http = Client()
    http.post("/admin/login/", {"username": "olga", "password": "a-long-enough-password"})
    assert http.get("/admin/").status_code == 200
    session = Session.objects.get().get_decoded()
    assert set(session) == {"_auth_user_id", "_auth_user_backend", "_auth_user_hash", "began", "seen"}
    assert session["_auth_user_backend"] == "django.contrib.auth.backends.ModelBackend"


ACTIONS = {
    "cancel": ("queued", "generation: cancel"),
    "run_now": ("running", "generation: nudge"),
    "retry_copy": ("copying", "generation: retry copy"),
    "fail": ("running", "generation: fail and release"),
    "delete_files": ("failed", "generation: delete files"),
    "rerun": ("failed", "generation: rerun"),
    "attach": ("in_doubt", "doubt: attach"),
    "resubmit": ("in_doubt", "doubt: resubmit"),
    "release": ("in_doubt", "doubt: release"),
    "give_up": ("in_doubt", "doubt: give up"),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_on_a_generation_has_its_text_in_the_audit_log(
    admin_client: Client, alice: Caller, upstream: Upstream, bucket: Any, name: str
) -> None:
    """Auditors filter by these texts, over years."""
    status, text = ACTIONS[name]
    row, _ = put_in(alice, status)
    assert row.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=row.image.key, Body=b"abc")
    upstream.on_poll = task("TASK_STATUS_SUCCEED", seed=str(row.seed), url=f"{upstream.url}/video.mp4")
    form = {"reason": "asked for", "attempt": "1", "seed": "-1", "upstream_id": "found"}
    assert admin_client.post(reverse(f"admin:generations_generation_{name}", args=[row.pk]), form).status_code == 302
    assert AuditEntry.objects.latest("pk").action == text


def test_an_action_on_a_tenant_its_keys_or_webhooks_has_its_text_in_the_audit_log(
    alice: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    """Auditors filter by these texts, over years."""

    def tenant(*words: str) -> Any:
        call_command("tenant", *words, "--json")
        return json.loads(capsys.readouterr().out)

    def actions() -> list[str]:
        return list(AuditEntry.objects.filter(tenant__name="bob").order_by("pk").values_list("action", flat=True))

    key = tenant("create", "bob")["api_key"]
    tenant("limit", "bob", "--per-day", "5")
    tenant("limit", key, "--per-day", "4")
    bob = with_key(tenant("roll", key)["api_key"])
    tenant("revoke", key)
    tenant("suspend", "bob")
    tenant("resume", "bob")
    tenant("adjust", "bob", "--usd", "1", "--reason", "agreed")
    assert actions() == [
        *("create tenant", "mint key", "change tenant", "change key", "roll key", "mint key", "revoke key"),
        *("suspend", "resume", "adjust"),
    ]
    made = bob.post("/v1/webhook-endpoints", {"url": HOOK}, format="json").json()
    endpoint = f"/v1/webhook-endpoints/{made['id']}"
    bob.patch(endpoint, {"description": "ours"}, format="json")
    bob.patch(endpoint, {"enabled": False}, format="json")
    bob.patch(endpoint, {"enabled": True}, format="json")
    bob.post(f"{endpoint}/rotate-secret", {}, format="json")
    bob.post("/v1/webhook-secret/rotate", {}, format="json")
    bob.post(f"{endpoint}/test", {}, format="json")
    bob.post(f"/v1/webhook-deliveries/{Delivery.objects.get().pk}/redeliver", {}, format="json")
    bob.delete(endpoint)
    assert actions()[10:] == [
        *(f"{verb} webhook endpoint" for verb in ("create", "change", "disable", "enable")),
        *("rotate webhook secret", "rotate tenant's webhook secret", "redeliver webhook", "delete webhook endpoint"),
    ]
