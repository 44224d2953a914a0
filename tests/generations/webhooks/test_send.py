"""The POST of a delivery: headers, signatures, and the body in both formats."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from generations import lifecycle
from generations.models import Delivery, WebhookEndpoint, WebhookSecret
from generations.webhooks import endpoints, signing_secrets
from tests.generations.test_lifecycle import VIDEO
from tests.support import attempts
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver
from tests.support.webhooks import attempt_all, create_endpoint, make_due, make_failed

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]


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
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < PATIENCE
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
    attempt = attempts.start_submitting(g)
    assert attempt
    lifecycle.mark_running(g, attempt, "up", 2)
    attempts.start_copying(g, 7)
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


def test_the_library_signs_as_the_spec_says() -> None:
    """The library's sign() takes any time as UTC, so the caller must pass UTC."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
