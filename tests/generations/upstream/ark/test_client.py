"""Calls to Ark over a socket: what is sent, what each answer means, and that nothing is sent twice."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generations import leases
from generations.upstream import outcomes
from generations.upstream.ark.wire import WIRE
from generations.upstream.errors import AccountError, NoVideo, UpstreamError, WrongTask
from generations.upstream.protocol import Account, CancelRefused, Uncalibrated
from tests.support.ark_answers import ID, MODEL, OTHER, created, refusal, rendered, task
from tests.support.upstream import TASKS, Upstream, as_json

CONTENT = b'{"model": "seedance-1-0-pro-250528", "content": []}'


def submit(account: Account) -> outcomes.SubmitOutcome:
    """Submit a request to the scripted upstream."""
    return WIRE.submit(account, MODEL, CONTENT)


def test_a_create_is_posted_to_the_one_path_with_the_key(upstream: Upstream, account: Account) -> None:
    paths: list[str] = []
    upstream.on_submit = lambda handler: paths.append(handler.path) or created()
    assert submit(account) == outcomes.Created(ID)
    assert paths == [f"/api/v3{TASKS}"]
    assert upstream.submits == [{"model": MODEL, "content": []}]
    assert upstream.keys == {"Bearer key-of-ark-in-the-tests"}


@pytest.mark.parametrize("key", ["ark-0123456789", "eyJhbGciOiJIUzI1NiJ9.e30.abc", "x"])
def test_a_key_of_any_form_is_sent(upstream: Upstream, account: Account, settings: Any, key: str) -> None:
    settings.ARK_API_KEY = key
    upstream.on_submit = created()
    submit(WIRE.accounts()[0])
    assert upstream.keys == {f"Bearer {key}"}


def test_a_refusal_is_an_outcome_with_the_answer_for_operators(upstream: Upstream, account: Account) -> None:
    upstream.on_submit = refusal(400, "InvalidParameter.duration", "duration is wrong.")
    outcome = submit(account)
    assert outcome == outcomes.Refused("InvalidParameter.duration", "duration is wrong.")
    assert outcome.answer.startswith("HTTP 400\n")


def cut_short(content: bytes) -> Any:
    """Return an answer that announces more bytes than it sends, and closes the connection."""

    def write(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + content)
        handler.close_connection = True

    return write


@pytest.mark.parametrize(
    ("answer", "upstream_id"),
    [
        (lambda handler: None, ""),
        (cut_short(b'{"id": "cgt-2026'), ""),
        (cut_short(f'{{"id": "{ID}"'.encode()), ID),
        ((302, {"Location": "/elsewhere"}, b""), ""),
        ((502, {}, b"<html>Bad Gateway"), ""),
        (refusal(500, "InternalServiceError"), ""),
        (as_json({"id": ID, "task_id": OTHER}), ID),
    ],
    ids=["no answer", "cut off in the id", "cut off behind the id", "redirect", "gateway", "failure", "two ids"],
)
def test_an_answer_that_is_not_plain_is_in_doubt_and_sent_once(
    upstream: Upstream, account: Account, answer: Any, upstream_id: str
) -> None:
    upstream.on_submit = answer
    outcome = submit(account)
    assert isinstance(outcome, outcomes.InDoubt)
    assert outcome.upstream_id == upstream_id
    assert len(upstream.submits) == 1


def test_a_submit_that_hangs_ends_at_its_time_limit(upstream: Upstream, account: Account, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "SUBMIT_CALL_SECONDS", 0.3)

    def hang(handler: Any) -> None:
        handler.close_connection = True
        try:
            for _ in range(100):
                handler.wfile.write(b"H")
                time.sleep(0.02)
        except OSError:
            return

    upstream.on_submit = hang
    assert isinstance(submit(account), outcomes.InDoubt)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1", ""])
def test_without_a_connection_nothing_is_created(settings: Any, url: str) -> None:
    settings.ARK_BASE_URL, settings.ARK_API_KEY = url, "a-key"
    account = WIRE.accounts()[0]
    assert isinstance(submit(account), outcomes.NotCreated)
    with pytest.raises(UpstreamError):
        WIRE.get(account, ID)


def test_a_task_is_read_by_its_id(upstream: Upstream, account: Account) -> None:
    upstream.on_poll = task("queued")
    assert WIRE.get(account, ID) == outcomes.Rendering(None, is_waiting=True)
    upstream.on_poll = as_json(rendered(safety_identifier="a" * 32))
    assert isinstance(WIRE.get(account, ID), outcomes.Rendered)
    listed = WIRE.read_task(account, ID)
    assert (listed.upstream_id, listed.reference, listed.status) == (ID, "a" * 32, "succeeded")
    assert upstream.polls == [ID] * 3
    assert upstream.keys == {"Bearer key-of-ark-in-the-tests"}


def test_an_answer_about_another_task_is_not_believed(upstream: Upstream, account: Account) -> None:
    upstream.on_poll = task("running", OTHER)
    for call in (WIRE.get, WIRE.read_task):
        with pytest.raises(WrongTask):
            call(account, ID)


def test_a_task_that_is_not_there_has_no_video(upstream: Upstream, account: Account) -> None:
    upstream.on_poll = refusal(404, "NotFound.Task")
    for call in (WIRE.get, WIRE.read_task):
        with pytest.raises(NoVideo):
            call(account, ID)


def test_an_odd_id_stays_within_its_part_of_the_path(upstream: Upstream, account: Account) -> None:
    upstream.on_poll = refusal(404, "NotFound")
    with pytest.raises(NoVideo):
        WIRE.get(account, "../../x?y=1#z")
    assert upstream.polls == ["..%2F..%2Fx%3Fy%3D1%23z"]


def test_a_cancel_deletes_the_task_by_its_id(upstream: Upstream, account: Account) -> None:
    WIRE.cancel(account, ID)
    assert upstream.cancels == [ID]


@pytest.mark.parametrize(("status", "code"), [(400, "InvalidParameter"), (403, "OperationDenied.X"), (404, "NotFound")])
def test_a_cancel_may_be_refused(upstream: Upstream, account: Account, status: int, code: str) -> None:
    upstream.on_cancel = refusal(status, code)
    with pytest.raises(CancelRefused, match=f"HTTP {status} {code}: about {code}"):
        WIRE.cancel(account, ID)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, "InternalServiceError"),
        refusal(200, "InvalidParameter"),
        (202, {}, b"{}"),
        (502, {}, b"<html>"),
        lambda handler: None,
    ],
    ids=["a failure", "an error with the status 200", "another status", "a gateway", "no answer"],
)
def test_an_unclear_answer_to_a_cancel_says_nothing(upstream: Upstream, account: Account, answer: Any) -> None:
    upstream.on_cancel = answer
    with pytest.raises(UpstreamError):
        WIRE.cancel(account, ID)
    assert len(upstream.cancels) == 1


def test_a_good_key_is_known_by_a_task_that_does_not_exist(upstream: Upstream, account: Account) -> None:
    upstream.on_poll = refusal(404, "NotFound")
    theirs = WIRE.check_account(account)
    assert theirs is not None
    assert abs(datetime.now(UTC) - theirs) < timedelta(minutes=1)
    assert upstream.submits == []


@pytest.mark.parametrize(("status", "code"), [(401, "AuthenticationError"), (403, "AccessDenied")])
def test_a_key_that_is_refused_is_named_with_the_upstreams_words(
    upstream: Upstream, account: Account, settings: Any, status: int, code: str
) -> None:
    upstream.on_poll = refusal(status, code, f"the key {settings.ARK_API_KEY} is wrong.")
    with pytest.raises(AccountError, match=code) as caught:
        WIRE.check_account(account)
    assert settings.ARK_API_KEY not in str(caught.value)


@pytest.mark.parametrize("answer", [task("running"), refusal(500, "X"), (404, {}, b""), lambda handler: None])
def test_another_answer_says_nothing_of_the_key(upstream: Upstream, account: Account, answer: Any) -> None:
    upstream.on_poll = answer
    with pytest.raises(UpstreamError):
        WIRE.check_account(account)


def test_no_probe_of_a_model_is_free(account: Account) -> None:
    with pytest.raises(Uncalibrated):
        list(WIRE.probe(account, [MODEL]))


def test_the_accounts_are_the_makers_novitas_and_the_sandbox(settings: Any) -> None:
    settings.NOVITA_BASE_URL, settings.SANDBOX_BASE_URL = "https://novita.example.com", "http://sandbox.internal:8001"
    settings.ARK_BASE_URL = "https://ark.example.com/api/v3"
    settings.ARK_RPM, settings.ARK_CONCURRENCY, settings.UPSTREAM_RPM, settings.UPSTREAM_CONCURRENCY = 1, 2, 3, 4
    found = {account.name: account for account in WIRE.accounts()}
    assert {name: (a.base_url, a.has_list, a.submits_per_minute, a.max_unfinished) for name, a in found.items()} == {
        "ark": ("https://ark.example.com/api/v3", True, 1, 2),
        "novita": ("https://novita.example.com/v3/bytedance/metered", False, 3, 4),
        "sandbox": ("http://sandbox.internal:8001/api/v3", True, 0, 0),
    }
    assert not found["ark"].is_configured
    settings.SANDBOX_BASE_URL = ""
    assert not WIRE.accounts()[2].is_configured
