"""What becomes of a submit by its answer: nothing that was paid for is lost, and no caller reads of our account."""

from typing import Any

import pytest

from generations.models import Attempt, Delivery, Event, Generation, Pause
from generations.upstream import circuit_breaker
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Upstream, as_json, refusal
from tests.support.webhooks import make_endpoint
from tests.support.worker import ledger_kinds, take_step

pytestmark = pytest.mark.one_database

Status = Generation.Status
ID = "0c6f7a52-3b0e-4a4e-9d1f-1f5d8a9b2c3d"


def try_again(generation: Generation) -> Generation:
    """Take the next step although submits are paused."""
    circuit_breaker.resume("novita")
    return take_step(generation)


# -- named by the upstream as not created -----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [refusal(500, "CREATE_TASK_FAILED"), refusal(503, "BILLING_FAILED")])
def test_a_create_that_failed_at_the_upstream_is_sent_again_and_succeeds(
    queued: Generation, upstream: Upstream, answer: Any
) -> None:
    upstream.on_submit = answer
    g = queued
    for _ in range(3):
        g = try_again(g)
        assert (g.status, ledger_kinds(g)) == (Status.QUEUED, ["hold"])
    upstream.on_submit = as_json({"task_id": ID})
    assert try_again(g).upstream_id == ID
    outcomes = list(g.attempts.order_by("number").values_list("outcome", flat=True))
    assert outcomes == [*["create_failed"] * 3, "created"]


def test_a_create_that_always_fails_at_the_upstream_is_sent_four_times_with_growing_pauses(
    queued: Generation, upstream: Upstream
) -> None:
    upstream.on_submit = refusal(500, "CREATE_TASK_FAILED")
    g, failures = queued, []
    for _ in range(4):
        g = try_again(g)
        failures.append(g.consecutive_failures)
    assert failures[:3] == [1, 2, 3]
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_refused")
    assert ledger_kinds(g) == ["hold", "release"]
    assert len(upstream.submits) == 4
    assert take_step(g).status == Status.FAILED


def test_other_waits_between_do_not_count_as_creates_that_failed(queued: Generation, upstream: Upstream) -> None:
    g = queued
    for answer in [
        *[refusal(429, "RATE_LIMIT_EXCEEDED")] * 5,
        refusal(500, "CREATE_TASK_FAILED"),
        *[refusal(429, "RATE_LIMIT_EXCEEDED")] * 5,
        *[refusal(500, "BILLING_FAILED")] * 2,
    ]:
        upstream.on_submit = answer
        g = try_again(g)
        Generation.objects.filter(pk=g.pk).update(consecutive_failures=0)
        assert g.status == Status.QUEUED
    upstream.on_submit = refusal(500, "CREATE_TASK_FAILED")
    assert try_again(g).status == Status.FAILED


def test_a_create_that_failed_pauses_submits(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = refusal(500, "CREATE_TASK_FAILED")
    take_step(queued)
    assert Pause.objects.get().reason.startswith("CREATE_TASK_FAILED")


# -- the task's id ----------------------------------------------------------------------------------------------------


def cut_short(handler: Any) -> None:
    """Send an answer that is cut off behind the task's id."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"task_id": "%s", "mess' % ID.encode())
    handler.close_connection = True


IN_DOUBT = {
    "below another name": as_json({"data": {"task_id": ID}}),
    "in the form of a Task Result": as_json({"task": {"task_id": ID}}),
    "as an object's id": as_json({"task": {"id": ID}}),
    "in another case": as_json({"taskId": ID}),
    "in a list": as_json([{"task_id": ID}]),
    "twice": (200, {}, f'{{"task_id": "{ID}", "task_id": "other"}}'.encode()),
    "beside an error": as_json({"code": 400, "reason": "ILLEGAL_PROMPT", "message": "", "task_id": ID}),
    "in an error": as_json({"code": 500, "reason": "CREATE_TASK_FAILED", "metadata": {"task_id": ID}}, 500),
    "in a refusal": as_json({"code": 400, "reason": "ILLEGAL_PROMPT", "task_id": ID}, 400),
    "in a rate limit": as_json({"code": 429, "reason": "RATE_LIMIT_EXCEEDED", "task_id": ID}, 429),
    "in a gateway's error": as_json({"task_id": ID}, 502),
    "in a page": (502, {}, f"<html>task_id={ID}&status=1</html>".encode()),
    "in a redirect's body": as_json({"task_id": ID}, 307, Location="/elsewhere"),
    "in a redirect's address": (302, {"Location": f"/v3/async/task-result?task_id={ID}"}, b""),
    "in an answer that is cut off": cut_short,
    "in a very long answer": (200, {}, f'{{"task_id": "{ID}", "x": "'.encode() + b"x" * 2_000_000 + b'"}'),
}


@pytest.mark.parametrize("answer", IN_DOUBT.values(), ids=IN_DOUBT)
def test_an_id_that_stands_elsewhere_in_the_answer_is_kept_with_the_attempt_and_offered_to_operators(
    queued: Generation, upstream: Upstream, admin_client: Any, answer: Any
) -> None:
    upstream.on_submit = answer
    g = take_step(queued)
    [attempt] = g.attempts.all()
    assert (g.status, attempt.outcome, attempt.upstream_id) == (Status.IN_DOUBT, "in_doubt", ID)
    assert ID in attempt.answer
    assert f'value="{ID}"' in admin_client.get(f"/admin/generations/generation/{g.pk}/attach/").content.decode()
    assert ID in admin_client.get(f"/admin/generations/generation/{g.pk}/change/").content.decode()
    assert len(upstream.submits) == 1


HARMLESS = {
    "201": as_json({"task_id": ID}, 201),
    "202": as_json({"task_id": ID}, 202),
    "as text": (200, {"Content-Type": "text/plain; charset=utf-8"}, f'{{"task_id": "{ID}"}}'.encode()),
    "without a type": (200, {}, f'  {{"task_id":"{ID}"}}\n'.encode()),
    "with a byte order mark": (200, {}, f'{{"task_id": "{ID}"}}'.encode("utf-8-sig")),
    "in UTF-16": (200, {"Content-Type": "application/json; charset=utf-16"}, f'{{"task_id": "{ID}"}}'.encode("utf-16")),
    "with other fields": as_json({"code": 0, "message": "ok", "reason": "", "task_id": ID, "data": {"task_id": ID}}),
}


@pytest.mark.parametrize("answer", HARMLESS.values(), ids=HARMLESS)
def test_a_plain_task_id_under_any_harmless_header_is_taken(
    queued: Generation, upstream: Upstream, answer: Any
) -> None:
    upstream.on_submit = answer
    g = take_step(queued)
    assert (g.status, g.upstream_id) == (Status.RUNNING, ID)
    assert Attempt.objects.get().upstream_id == ID


def test_the_answer_is_kept_without_secrets_and_in_some_kilobytes(
    queued: Generation, upstream: Upstream, settings: Any
) -> None:
    settings.NOVITA_API_KEY = "novita-key-0123456789"
    body = b"<p>novita-key-0123456789 \0\xff</p>" + b"x" * 100_000
    upstream.on_submit = 502, {"X-Trace": "Bearer novita-key-0123456789", "Set-Cookie": "a=b"}, body
    [attempt] = take_step(queued).attempts.all()
    assert attempt.answer.startswith("HTTP 502\n")
    assert "<p>[hidden]" in attempt.answer
    assert "0123456789" not in attempt.answer
    assert "a=b" not in attempt.answer
    assert len(attempt.answer) < 6000


# -- one task for two -------------------------------------------------------------------------------------------------


def test_two_submits_answered_with_one_task_put_the_second_in_doubt_at_once_and_name_each_other(
    queued: Generation, bob: Caller, upstream: Upstream
) -> None:
    upstream.on_submit = as_json({"task_id": ID})
    first = take_step(queued)
    second = take_step(make_generation(bob, image=queued.image))
    first.refresh_from_db()
    assert (first.status, first.upstream_id) == (Status.RUNNING, ID)
    assert (second.status, second.upstream_id) == (Status.IN_DOUBT, None)
    [attempt] = second.attempts.all()
    assert (attempt.outcome, attempt.upstream_id) == ("in_doubt", ID)
    for generation, other in ((first, second), (second, first)):
        event = generation.events.order_by("id").last()
        assert event is not None
        assert str(other.pk) in event.detail
        assert ID in event.detail
        assert str(other.pk) not in event.message
        assert ID not in event.message
    assert Pause.objects.exists()  # an upstream that does so must not put one after the other in doubt


# -- what callers read ------------------------------------------------------------------------------------------------

SECRET = "novita-key-0123456789"
WORDS = f"the key {SECRET} of account acc-4711-x is out of balance"


def with_words(status: int, reason: str) -> Any:
    """Return a refusal whose message speaks of our account."""
    return as_json({"code": status, "reason": reason, "message": WORDS, "metadata": {}}, status)


ABOUT_US = {
    "unauthorized": with_words(401, "FAILED_TO_AUTH"),
    "no reason": as_json({"message": WORDS}, 401),
    "forbidden": with_words(403, "SOMETHING_NEW"),
    "payment required": with_words(402, "SOMETHING_NEW"),
    "balance": with_words(400, "BILLING_BALANCE_NOT_ENOUGH"),
    "undocumented": with_words(400, "ACCOUNT_OVERDUE"),
    "content in name only": with_words(400, "INVALID_REQUEST_BODY"),
    "rate": with_words(429, "RATE_LIMIT_EXCEEDED"),
    "create": with_words(500, "CREATE_TASK_FAILED"),
    "task": with_words(500, "TASK_FAILED"),
    "gateway": (502, {}, WORDS.encode()),
}


@pytest.mark.parametrize("answer", ABOUT_US.values(), ids=ABOUT_US)
def test_callers_never_read_what_the_upstream_says_about_our_account(
    queued: Generation, alice: Caller, upstream: Upstream, settings: Any, answer: Any, admin_client: Any
) -> None:
    settings.NOVITA_API_KEY = SECRET
    make_endpoint(alice)
    upstream.on_submit = answer
    g = queued
    for _ in range(4):
        g = try_again(g)
        if g.finished_at or g.status == Status.IN_DOUBT:
            break
    read = [f"/v1/generations/{queued.pk}", f"/v1/generations/{queued.pk}/events", "/v1/generations"]
    for path in [*read, f"/v3/async/task-result?task_id={queued.pk}"]:
        text = alice.http.get(path).content.decode()
        for word in (SECRET, "balance", "acc-4711-x", "FAILED_TO_AUTH", "SOMETHING_NEW", "OVERDUE", "BILLING"):
            assert word not in text, (path, word)
    for delivery in Delivery.objects.all():
        assert "balance" not in delivery.body
    assert SECRET not in "".join(
        str(row) for table in (Attempt, Event, Generation, Pause) for row in table.objects.values()
    )
    panel = admin_client.get(f"/admin/generations/generation/{queued.pk}/change/").content.decode()
    assert "the key [hidden] of account acc-4711-x is out of balance" in panel
    assert SECRET not in panel


def test_callers_read_what_the_upstream_says_about_their_content(
    queued: Generation, alice: Caller, upstream: Upstream
) -> None:
    upstream.on_submit = as_json({"code": 400, "reason": "ILLEGAL_PROMPT", "message": "The prompt has blood."}, 400)
    take_step(queued)
    error = alice.http.get(f"/v1/generations/{queued.pk}").json()["error"]
    assert error["message"] == "The upstream refused it: ILLEGAL_PROMPT. The prompt has blood."
