"""An attempt against a real receiver: the POST, the effect of each answer, and hostile receivers."""

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
    """Run a receiver that answers 204."""
    with run_receiver(settings) as receiver:
        yield receiver


def create_endpoint(caller: Caller, receiver: Receiver) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint of the caller's tenant at the receiver. Return the endpoint and its secret."""
    return endpoints.create(ACTOR, caller.tenant, receiver.url, test=False)


# The POST


def test_a_post_is_signed_by_the_spec_and_the_specs_library_verifies_it(alice: Caller, receiver: Receiver) -> None:
    _, secret = create_endpoint(alice, receiver)
    g = make_failed(alice)
    [attempted] = attempt_all()
    [post] = receiver.posts
    payload = post.verify(secret)
    assert (payload["type"], payload["data"]["id"]) == ("generation.failed", str(g.pk))
    assert post.id == f"evt_{g.pk.hex}_2" == attempted.message_id
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"] == "seedance-service"
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 5
    assert attempted.status == "delivered"
    for wrong_secret in (signing_secrets.new_secret(), secret[:-8] + "AAAAAAA="):
        with pytest.raises(WebhookVerificationError):
            post.verify(wrong_secret)
    post.body = post.body.replace(b"failed", b"faiLed")
    with pytest.raises(WebhookVerificationError):
        post.verify(secret)


def test_a_replay_after_five_minutes_fails_the_librarys_check(alice: Caller, receiver: Receiver) -> None:
    _, secret = create_endpoint(alice, receiver)
    make_failed(alice)
    attempt_all()
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=False):
        with pytest.raises(WebhookVerificationError, match="too old"):
            receiver.posts[0].verify(secret)
        make_due()
        Delivery.objects.update(status="pending", due_at=timezone.now(), finished_at=None)
        attempt_all()  # a real attempt of that time is signed at that time
        receiver.posts[1].verify(secret)


def test_while_a_secret_is_rotated_both_secrets_sign(alice: Caller, receiver: Receiver) -> None:
    endpoint, old = create_endpoint(alice, receiver)
    new, until = endpoints.rotate_secret(ACTOR, endpoint)
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


def test_without_an_overlap_the_old_secret_ends_at_once(alice: Caller, receiver: Receiver) -> None:
    endpoint, old = create_endpoint(alice, receiver)
    new, until = endpoints.rotate_secret(ACTOR, endpoint, timedelta(0))
    assert until is None
    make_failed(alice)
    attempt_all()
    receiver.posts[0].verify(new)
    with pytest.raises(WebhookVerificationError):
        receiver.posts[0].verify(old)


def test_a_delivery_to_an_own_webhook_is_signed_by_the_tenants_secret(
    alice: Caller, bob: Caller, receiver: Receiver
) -> None:
    first, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    make_failed(alice, webhook_url=receiver.url)
    make_failed(bob, webhook_url=receiver.url)  # this tenant has no secret yet: one is created, and not shown
    attempt_all()
    assert [is_signed_by(post, first) for post in receiver.posts].count(True) == 1
    assert len(receiver.posts) == 2
    assert WebhookSecret.objects.count() == 2
    second, _ = endpoints.rotate_tenant_secret(ACTOR, bob.tenant, test=False)
    make_failed(bob, webhook_url=receiver.url)
    attempt_all()
    receiver.posts[2].verify(second)


def is_signed_by(post: Any, secret: str) -> bool:
    """Return whether the secret verifies the POST."""
    try:
        post.verify(secret)
    except WebhookVerificationError:
        return False
    return True


def test_novitas_format_has_a_new_signed_url_at_each_attempt(
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
    urls = [body["payload"]["videos"][0]["video_url"] for body in (first, second)]
    assert urls[0] != urls[1]
    assert [VIDEO.key in url and "X-Amz-Signature" in url for url in urls] == [True, True]
    lifecycle.delete(g)
    Delivery.objects.update(status="pending", due_at=timezone.now(), finished_at=None)
    attempt_all()
    assert json.loads(receiver.posts[2].body)["payload"]["videos"] == []


def test_a_secret_that_can_not_be_decrypted_is_logged_and_the_delivery_waits_for_the_key(
    alice: Caller, receiver: Receiver, settings: Any, caplog: Any
) -> None:
    _, secret = create_endpoint(alice, receiver)
    make_failed(alice)
    secret_key, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    [attempted] = attempt_all()
    assert [attempt.outcome for attempt in attempted.log.all()] == ["internal_error"]
    assert "can not be opened" in caplog.text
    assert receiver.posts == []
    assert WebhookEndpoint.objects.get().failing_since is None  # the receiver has not failed
    settings.SECRET_KEY_FALLBACKS = [secret_key]
    make_due()
    attempt_all()
    receiver.posts[0].verify(secret)


def test_a_rotation_helps_after_the_loss_of_the_old_key(
    alice: Caller, receiver: Receiver, settings: Any, caplog: Any
) -> None:
    endpoint, _ = create_endpoint(alice, receiver)
    settings.SECRET_KEY = "another"
    new, _ = endpoints.rotate_secret(ACTOR, endpoint)
    make_failed(alice)
    attempt_all()
    [post] = receiver.posts
    post.verify(new)
    assert " " not in post.headers["webhook-signature"]
    assert "the secret before the present one" in caplog.text


# The effect of an answer


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
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    [attempted] = attempt_all()
    [attempt] = attempted.log.all()
    assert (attempt.outcome, attempt.status_code, attempted.status) == (outcome, answer, status)
    failing_since = WebhookEndpoint.objects.get().failing_since
    assert (failing_since is None) == (outcome in ("delivered", "gone"))


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
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Location": target.format(receiver.url)}
    [attempted] = attempt_all()
    assert [(attempt.outcome, attempt.status_code) for attempt in attempted.log.all()] == [("refused", status)]
    assert [post.path for post in receiver.posts] == ["/hook"]


def test_a_410_disables_the_endpoint_at_once_and_fails_pending_deliveries(alice: Caller, receiver: Receiver) -> None:
    endpoint, _ = create_endpoint(alice, receiver)
    for _ in range(3):
        make_failed(alice)
    receiver.answer = 410
    attempt_all()
    endpoint.refresh_from_db()
    assert endpoint.disabled_at
    assert endpoint.disabled_reason == "The receiver answered 410 Gone."
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    assert len(receiver.posts) <= 2  # of one claim
    entry = AuditEntry.objects.get(action="disable webhook endpoint")
    assert (entry.actor, entry.target) == ("service", str(endpoint.pk))


@pytest.mark.parametrize("unit", ["seconds", "a date"])
def test_a_retry_after_of_a_throttling_answer_is_honoured(alice: Caller, receiver: Receiver, unit: str) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    receiver.answer = 429, {"Retry-After": "600" if unit == "seconds" else when}
    [attempted] = attempt_all()
    assert attempted.due_at
    assert 595 <= (attempted.due_at - timezone.now()).total_seconds() <= 601


@pytest.mark.parametrize(
    ("status", "value", "minimum", "maximum"),
    [
        (503, "99999999999999", 86_000, 86_400),  # a day is the maximum
        (503, "1", 4, 6),  # the schedule is the minimum
        (500, "600", 4, 6),  # only a busy receiver's Retry-After counts
        (429, "soon", 4, 6),
        (429, "-5", 4, 6),
        (429, "9" * 5000, 86_000, 86_400),
    ],
)
def test_a_retry_after_is_bounded(
    alice: Caller, receiver: Receiver, status: int, value: str, minimum: int, maximum: int
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Retry-After": value}
    [attempted] = attempt_all()
    assert attempted.due_at
    assert minimum <= (attempted.due_at - timezone.now()).total_seconds() <= maximum


def test_five_days_without_a_success_disable_an_endpoint_and_notify_the_tenant(
    alice: Caller, receiver: Receiver, caplog: Any
) -> None:
    failing, _ = create_endpoint(alice, receiver)
    other = make_endpoint(alice, events=["webhook_endpoint.disabled"])
    started_at = timezone.now()
    receiver.answer = 500
    make_failed(alice)
    attempt_all()
    with time_machine.travel(started_at + timedelta(days=4, hours=23), tick=False):
        make_due()
        attempt_all()
        failing.refresh_from_db()
        assert failing.disabled_at is None
        assert failing.failing_since
    with time_machine.travel(started_at + timedelta(days=5, minutes=1), tick=False):
        make_due()
        attempt_all()
    failing.refresh_from_db()
    assert failing.disabled_at
    assert failing.disabled_reason == endpoints.FAILED_REASON
    assert Delivery.objects.get(endpoint=failing).status == "failed"
    payload = json.loads(Delivery.objects.get(endpoint=other).body)
    assert payload["type"] == "webhook_endpoint.disabled"
    assert payload["data"] == {"endpoint_id": str(failing.pk), "reason": endpoints.FAILED_REASON, "test": False}
    assert "a webhook endpoint is disabled" in caplog.text
    assert str(failing.pk) in caplog.text
    assert "No delivery" in caplog.text
    assert AuditEntry.objects.get(action="disable webhook endpoint").actor == "service"


def test_a_success_ends_the_endpoints_failure(alice: Caller, receiver: Receiver) -> None:
    endpoint, _ = create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 500
    attempt_all()
    receiver.answer = 200
    make_due()
    attempt_all()
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_unexpected_error_is_retried_and_does_not_count_against_the_endpoint(
    alice: Caller, receiver: Receiver
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    row = Delivery.objects.get()
    send.record_internal_error(row)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.log.get().outcome) == ("pending", 1, "internal_error")
    assert WebhookEndpoint.objects.get().failing_since is None


# Receivers that are dead, slow or hostile


def dead(handler: Any) -> None:
    """Answer nothing for half a second."""
    time.sleep(0.5)


def drips(handler: Any) -> None:
    """Send a header every 20 ms."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(20):
        handler.wfile.write(b"X-Drip: %d\r\n" % number)
        time.sleep(0.02)


def drips_forever(handler: Any) -> None:
    """Send interim answers without end."""
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def never_ends_the_head(handler: Any) -> None:
    """Send headers without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Long: " + b"x" * 65_536)


def resets(handler: Any) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def closes(handler: Any) -> None:
    """Close the connection without an answer."""


def garbage(handler: Any) -> None:
    """Answer in another protocol."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")


@pytest.mark.parametrize("hostile", [dead, drips, drips_forever, never_ends_the_head, resets, closes, garbage])
def test_a_hostile_receiver_is_unreachable_within_the_deadline(
    alice: Caller, receiver: Receiver, monkeypatch: Any, hostile: Any
) -> None:
    def answer(handler: Any) -> None:
        """Run the hostile receiver until the client hangs up."""
        try:
            hostile(handler)
        except OSError:
            return

    monkeypatch.setattr(leases, "DELIVERY_CALL_SECONDS", 0.12)
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    started_at = time.monotonic()
    [attempted] = attempt_all()
    # A slow machine has time. Without the deadline the attempt lasts 15 s, or forever.
    assert time.monotonic() - started_at < 10
    [attempt] = attempted.log.all()
    assert (attempt.outcome, attempt.status_code, attempted.status) == ("unreachable", None, "pending")


def test_a_flood_of_answers_before_the_answer_ends_long_before_the_deadline(alice: Caller, receiver: Receiver) -> None:
    """Each interim answer costs the service more to read than the receiver to write."""

    def flood(handler: Any) -> None:
        """Send interim answers as fast as possible."""
        while True:
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = flood
    started_at = time.process_time()
    [attempted] = attempt_all()
    assert time.process_time() - started_at < 2
    assert attempted.log.get().outcome == "unreachable"
    assert attempted.log.get().milliseconds < 3000


def test_a_body_of_ten_gigabytes_is_not_read(alice: Caller, receiver: Receiver) -> None:
    sent = []

    def endless(handler: Any) -> None:
        """Announce ten gigabytes and send up to that much."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while len(sent) < 10_000:
                sent.append(handler.wfile.write(b"x" * 1_000_000))
        except OSError:
            return

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = endless
    started_at = time.monotonic()
    [attempted] = attempt_all()
    assert time.monotonic() - started_at < 1
    assert attempted.status == "delivered"
    assert len(sent) < 100


@pytest.mark.parametrize(("size", "outcome"), [(20_000, "delivered"), (40_000, "unreachable")])
def test_a_long_head_is_read_and_a_longer_one_is_not(
    alice: Caller, receiver: Receiver, size: int, outcome: str
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 200, {"X-Long": "x" * size}
    [attempted] = attempt_all()
    assert attempted.log.get().outcome == outcome


def test_a_receiver_that_is_not_there_is_unreachable(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    make_endpoint(alice, "http://127.0.0.1:9/hook")
    make_failed(alice)
    [attempted] = attempt_all()
    assert attempted.log.get().outcome == "unreachable"


def test_a_url_that_is_no_longer_allowed_is_blocked(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    endpoint = make_endpoint(alice, "http://127.0.0.1:9/hook")
    settings.FETCH_ALLOW_HOSTS = []
    make_failed(alice)
    [attempted] = attempt_all()
    assert (attempted.log.get().outcome, attempted.status) == ("blocked", "pending")
    endpoint.refresh_from_db()
    assert endpoint.failing_since


def test_nothing_of_a_receivers_answer_is_stored(alice: Caller, receiver: Receiver, caplog: Any) -> None:
    def answer(handler: Any) -> None:
        """Answer with a secret in every part."""
        handler.wfile.write(b"HTTP/1.1 500 inner-secret\r\nX-Inner: inner-secret\r\n\r\ninner-secret")

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    [attempted] = attempt_all()
    stored = [Delivery.objects.values().get(), *attempted.log.values(), WebhookEndpoint.objects.values().get()]
    assert "inner-secret" not in str(stored) + caplog.text


def test_the_library_signs_as_the_spec_says() -> None:
    """The library's sign() takes any time as UTC, so the caller must pass UTC."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
