"""One attempt against a real receiver: what it gets, what each answer does, and what a hostile one can not."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from generations import leases, lifecycle
from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.webhooks import endpoints, send, signing_secrets
from tenants.models import AuditEntry
from tests.generations.test_lifecycle import VIDEO
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.receiver import Receiver, run_receiver
from tests.support.webhooks import attempt_all, make_due, make_endpoint, make_failed

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with run_receiver(settings) as made:
        yield made


def endpoint(caller: Caller, receiver: Receiver, **facts: Any) -> tuple[WebhookEndpoint, str]:
    return endpoints.create(ACTOR, caller.tenant, receiver.url, test=False, **facts)


# What a receiver gets


def test_it_is_signed_by_the_spec_and_its_own_library_verifies_it(alice: Caller, receiver: Receiver) -> None:
    _, secret = endpoint(alice, receiver)
    g = make_failed(alice)
    [done] = attempt_all()
    [post] = receiver.posts
    payload = post.verify(secret)
    assert (payload["type"], payload["data"]["id"]) == ("generation.failed", str(g.pk))
    assert post.id == f"evt_{g.pk.hex}_2" == done.message_id
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"] == "seedance-service"
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 5
    assert done.status == "delivered"
    for wrong in (signing_secrets.new_secret(), secret[:-8] + "AAAAAAA="):
        with pytest.raises(WebhookVerificationError):
            post.verify(wrong)
    post.body = post.body.replace(b"failed", b"faiLed")
    with pytest.raises(WebhookVerificationError):
        post.verify(secret)


def test_a_replay_after_five_minutes_fails_the_librarys_check(alice: Caller, receiver: Receiver) -> None:
    _, secret = endpoint(alice, receiver)
    make_failed(alice)
    attempt_all()
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=False):
        with pytest.raises(WebhookVerificationError, match="too old"):
            receiver.posts[0].verify(secret)
        make_due()
        Delivery.objects.update(status="pending", due_at=timezone.now(), finished_at=None)
        attempt_all()  # while a real attempt of then is signed then
        receiver.posts[1].verify(secret)


def test_while_a_secret_is_rotated_both_sign(alice: Caller, receiver: Receiver) -> None:
    one, old = endpoint(alice, receiver)
    new, until = endpoints.rotate_secret(ACTOR, one)
    assert until
    make_failed(alice)
    attempt_all()
    [post] = receiver.posts
    assert len(post.headers["webhook-signature"].split(" ")) == 2
    post.verify(new)
    post.verify(old)
    with time_machine.travel(until + timedelta(seconds=1), tick=False):
        make_failed(alice)
        attempt_all()
        receiver.posts[1].verify(new)
        with pytest.raises(WebhookVerificationError):
            receiver.posts[1].verify(old)


def test_without_an_overlap_the_old_secret_is_good_for_nothing_at_once(alice: Caller, receiver: Receiver) -> None:
    one, old = endpoint(alice, receiver)
    new, until = endpoints.rotate_secret(ACTOR, one, timedelta(0))
    assert until is None
    make_failed(alice)
    attempt_all()
    receiver.posts[0].verify(new)
    with pytest.raises(WebhookVerificationError):
        receiver.posts[0].verify(old)


def test_what_goes_to_a_single_url_is_signed_by_the_tenants_own_secret(
    alice: Caller, bob: Caller, receiver: Receiver
) -> None:
    first, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    make_failed(alice, webhook_url=receiver.url)
    make_failed(bob, webhook_url=receiver.url)  # who has none yet: one is made, and told nobody
    attempt_all()
    by_tenant = {post.verify(first) and "alice" for post in receiver.posts if verifies(post, first)}
    assert by_tenant == {"alice"}
    assert len(receiver.posts) == 2
    assert WebhookSecret.objects.count() == 2
    second, _ = endpoints.rotate_tenant_secret(ACTOR, bob.tenant, test=False)
    make_failed(bob, webhook_url=receiver.url)
    attempt_all()
    receiver.posts[2].verify(second)


def verifies(post: Any, secret: str) -> bool:
    try:
        post.verify(secret)
    except WebhookVerificationError:
        return False
    return True


def test_novitas_form_has_a_fresh_signed_url_at_each_attempt(
    alice: Caller, receiver: Receiver, settings: Any, bucket: Any
) -> None:
    secret, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    g = make_generation(alice, webhook_url=receiver.url, webhook_format="novita")
    attempt = lifecycle.start_submitting(g)
    assert attempt
    lifecycle.mark_running(g, attempt, "up", 2)
    lifecycle.start_copying(g, 7)
    lifecycle.mark_succeeded(g, VIDEO)
    receiver.answer = 500
    attempt_all()
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        receiver.answer = 200
        make_due()
        attempt_all()
        receiver.posts[1].verify(secret)
    first, second = (json.loads(post.body) for post in receiver.posts)
    assert first["event_type"] == second["event_type"] == "ASYNC_TASK_RESULT"
    assert set(first["payload"]) == {"extra", "task", "images", "videos", "audios"}
    assert first["payload"]["task"]["task_id"] == str(g.pk)
    assert first["payload"]["task"]["status"] == "TASK_STATUS_SUCCEED"
    urls = [one["payload"]["videos"][0]["video_url"] for one in (first, second)]
    assert urls[0] != urls[1]
    assert [VIDEO.key in url and "X-Amz-Signature" in url for url in urls] == [True, True]
    lifecycle.delete(g)
    Delivery.objects.update(status="pending", due_at=timezone.now(), finished_at=None)
    attempt_all()
    assert json.loads(receiver.posts[2].body)["payload"]["videos"] == []


def test_a_secret_that_can_not_be_opened_is_told_and_waits_for_its_key(
    alice: Caller, receiver: Receiver, settings: Any, caplog: Any
) -> None:
    _, secret = endpoint(alice, receiver)
    make_failed(alice)
    kept, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    [done] = attempt_all()
    assert [one.outcome for one in done.log.all()] == ["internal_error"]
    assert "can not be opened" in caplog.text
    assert receiver.posts == []
    assert WebhookEndpoint.objects.get().failing_since is None  # it is not to blame
    settings.SECRET_KEY_FALLBACKS = [kept]
    make_due()
    attempt_all()
    receiver.posts[0].verify(secret)


def test_a_rotation_is_the_way_out_where_the_old_key_is_lost(
    alice: Caller, receiver: Receiver, settings: Any, caplog: Any
) -> None:
    one, _ = endpoint(alice, receiver)
    settings.SECRET_KEY = "another"
    new, _ = endpoints.rotate_secret(ACTOR, one)
    make_failed(alice)
    attempt_all()
    [post] = receiver.posts
    post.verify(new)
    assert " " not in post.headers["webhook-signature"]
    assert "the secret before the present one" in caplog.text


# What an answer does


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (200, "delivered", "delivered"),
        (204, "delivered", "delivered"),
        (299, "delivered", "delivered"),
        (400, "refused", "pending"),
        (404, "refused", "pending"),
        (500, "refused", "pending"),
        (429, "throttled", "pending"),
        (503, "throttled", "pending"),
        (410, "gone", "failed"),
    ],
)
def test_only_a_2xx_is_a_success(alice: Caller, receiver: Receiver, answer: int, outcome: str, status: str) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    [done] = attempt_all()
    [one] = done.log.all()
    assert (one.outcome, one.status_code, done.status) == (outcome, answer, status)
    failing = WebhookEndpoint.objects.get().failing_since
    assert (failing is None) == (outcome in ("delivered", "gone"))


@pytest.mark.parametrize(
    ("status", "target"),
    [
        (301, "{}/elsewhere"),
        (302, "http://169.254.169.254/"),
        (303, "http://["),
        (307, "https://xn--a.example/"),
        (308, "{}/elsewhere"),
    ],
)
def test_a_redirect_is_a_failure_and_is_not_followed(
    alice: Caller, receiver: Receiver, status: int, target: str
) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Location": target.format(receiver.url)}
    [done] = attempt_all()
    assert [(one.outcome, one.status_code) for one in done.log.all()] == [("refused", status)]
    assert [post.path for post in receiver.posts] == ["/hook"]


def test_gone_disables_the_endpoint_at_once_and_ends_what_is_under_way(alice: Caller, receiver: Receiver) -> None:
    one, _ = endpoint(alice, receiver)
    for _ in range(3):
        make_failed(alice)
    receiver.answer = 410
    attempt_all()
    one.refresh_from_db()
    assert one.disabled_at
    assert one.disabled_reason == "The receiver answered 410 Gone."
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    assert len(receiver.posts) <= 2  # of one claim
    entry = AuditEntry.objects.get(action="disable webhook endpoint")
    assert (entry.actor, entry.target) == ("service", str(one.pk))


@pytest.mark.parametrize("by", ["seconds", "a date"])
def test_an_answer_that_throttles_says_when_to_come_again(alice: Caller, receiver: Receiver, by: str) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    receiver.answer = 429, {"Retry-After": "600" if by == "seconds" else when}
    [done] = attempt_all()
    assert done.due_at
    assert 595 <= (done.due_at - timezone.now()).total_seconds() <= 601


@pytest.mark.parametrize(
    ("status", "value", "least", "most"),
    [
        (503, "99999999999999", 86_000, 86_400),  # a day is the most
        (503, "1", 4, 6),  # sooner than its schedule it is not tried
        (500, "600", 4, 6),  # only who is busy is asked
        (429, "soon", 4, 6),
        (429, "-5", 4, 6),
        (429, "9" * 5000, 86_000, 86_400),
    ],
)
def test_a_retry_after_is_bounded(
    alice: Caller, receiver: Receiver, status: int, value: str, least: int, most: int
) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Retry-After": value}
    [done] = attempt_all()
    assert done.due_at
    assert least <= (done.due_at - timezone.now()).total_seconds() <= most


def test_five_days_without_a_success_disable_an_endpoint_and_its_tenant_is_told(
    alice: Caller, receiver: Receiver, caplog: Any
) -> None:
    bad, _ = endpoint(alice, receiver)
    other = make_endpoint(alice, events=["webhook_endpoint.disabled"])
    starts = timezone.now()
    receiver.answer = 500
    make_failed(alice)
    attempt_all()
    with time_machine.travel(starts + timedelta(days=4, hours=23), tick=False):
        make_due()
        attempt_all()
        bad.refresh_from_db()
        assert bad.disabled_at is None
        assert bad.failing_since
    with time_machine.travel(starts + timedelta(days=5, minutes=1), tick=False):
        make_due()
        attempt_all()
    bad.refresh_from_db()
    assert bad.disabled_at
    assert bad.disabled_reason == endpoints.FAILED_REASON
    assert Delivery.objects.get(endpoint=bad).status == "failed"
    told = json.loads(Delivery.objects.get(endpoint=other).body)
    assert told["type"] == "webhook_endpoint.disabled"
    assert told["data"] == {"endpoint_id": str(bad.pk), "reason": endpoints.FAILED_REASON, "test": False}
    assert "a webhook endpoint is disabled" in caplog.text
    assert str(bad.pk) in caplog.text
    assert "No delivery" in caplog.text
    assert AuditEntry.objects.get(action="disable webhook endpoint").actor == "service"


def test_a_success_ends_the_count_of_its_failures(alice: Caller, receiver: Receiver) -> None:
    one, _ = endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 500
    attempt_all()
    receiver.answer = 200
    make_due()
    attempt_all()
    one.refresh_from_db()
    assert one.failing_since is None


def test_an_error_that_nobody_expected_is_put_off_and_blames_nobody(alice: Caller, receiver: Receiver) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    row = Delivery.objects.get()
    send.record_internal_error(row)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.log.get().outcome) == ("pending", 1, "internal_error")
    assert WebhookEndpoint.objects.get().failing_since is None


# Receivers that are dead, slow or hostile


def dead(handler: Any) -> None:
    time.sleep(0.5)


def drips(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(20):
        handler.wfile.write(b"X-Drip: %d\r\n" % number)
        time.sleep(0.02)


def drips_on_and_on(handler: Any) -> None:
    """Each is an answer of its own, and none the last."""
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def never_ends_its_head(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Long: " + b"x" * 65_536)


def resets(handler: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def closes(handler: Any) -> None:
    """Without a word."""


def garbage(handler: Any) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")


@pytest.mark.parametrize("hostile", [dead, drips, drips_on_and_on, never_ends_its_head, resets, closes, garbage])
def test_a_hostile_receiver_is_unreachable_within_the_deadline(
    alice: Caller, receiver: Receiver, monkeypatch: Any, hostile: Any
) -> None:
    def until_it_is_gone(handler: Any) -> None:
        try:
            hostile(handler)
        except OSError:
            return

    monkeypatch.setattr(leases, "DELIVERY_CALL_SECONDS", 0.12)
    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = until_it_is_gone
    starts = time.monotonic()
    [done] = attempt_all()
    assert time.monotonic() - starts < 10  # a slow machine has time; without the deadline it is 15 s, or for ever
    [one] = done.log.all()
    assert (one.outcome, one.status_code, done.status) == ("unreachable", None, "pending")


def test_a_flood_of_answers_before_the_answer_ends_long_before_the_deadline(alice: Caller, receiver: Receiver) -> None:
    """Each of them costs us more to read than the receiver to write."""

    def flood(handler: Any) -> None:
        while True:
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = flood
    starts = time.process_time()
    [done] = attempt_all()
    assert time.process_time() - starts < 2
    assert done.log.get().outcome == "unreachable"
    assert done.log.get().milliseconds < 3000


def test_a_body_of_ten_gigabytes_is_not_read(alice: Caller, receiver: Receiver) -> None:
    sent = []

    def endless(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while len(sent) < 10_000:
                sent.append(handler.wfile.write(b"x" * 1_000_000))
        except OSError:
            return

    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = endless
    starts = time.monotonic()
    [done] = attempt_all()
    assert time.monotonic() - starts < 1
    assert done.status == "delivered"
    assert len(sent) < 100


@pytest.mark.parametrize(("size", "outcome"), [(20_000, "delivered"), (40_000, "unreachable")])
def test_a_long_head_is_read_and_a_longer_one_is_not(
    alice: Caller, receiver: Receiver, size: int, outcome: str
) -> None:
    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 200, {"X-Long": "x" * size}
    [done] = attempt_all()
    assert done.log.get().outcome == outcome


def test_a_receiver_that_is_not_there_is_unreachable(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    make_endpoint(alice, "http://127.0.0.1:9/hook")
    make_failed(alice)
    [done] = attempt_all()
    assert done.log.get().outcome == "unreachable"


def test_a_url_that_may_no_longer_be_called_is_blocked(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    one = make_endpoint(alice, "http://127.0.0.1:9/hook")
    settings.FETCH_ALLOW_HOSTS = []
    make_failed(alice)
    [done] = attempt_all()
    assert (done.log.get().outcome, done.status) == ("blocked", "pending")
    one.refresh_from_db()
    assert one.failing_since


def test_nothing_of_a_receivers_answer_is_kept(alice: Caller, receiver: Receiver, caplog: Any) -> None:
    def tells(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 500 inner-secret\r\nX-Inner: inner-secret\r\n\r\ninner-secret")

    endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = tells
    [done] = attempt_all()
    kept = [Delivery.objects.values().get(), *done.log.values(), WebhookEndpoint.objects.values().get()]
    assert "inner-secret" not in str(kept) + caplog.text


def test_the_library_signs_as_the_spec_has_it() -> None:
    """Its sign() takes any time zone for UTC: it must be given that."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
