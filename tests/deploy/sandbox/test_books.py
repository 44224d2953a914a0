"""A day of bills from the sandbox: they agree with the ledger, and name a task that was created past the service."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine
from django.core.management import call_command

from deploy import stack, waiting
from deploy.sandbox.owners import owner_of
from generations.bucket import inputs
from generations.media.images import inspect
from generations.models import Generation, UpstreamBooks
from generations.ops import upstream_books
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, image_bytes
from tests.support.worker import take_step

MAX_WAIT_SECONDS = 90.0  # for the videos of a test on a slow machine
KEY = "key-of-the-service"
MODELS = ("seedance-v1-lite-i2v", "seedance-2-0")  # on Novita's wire, and on the maker's below Novita's address
pytestmark = pytest.mark.story


@pytest.fixture
def sandbox(tmp_path: Path, settings: Any) -> Iterator[str]:
    """Start a sandbox as Novita, and return its address."""
    port = stack.free_port(15_003)
    process = stack.sandbox(tmp_path / "tasks", tmp_path, port, 0.2, os.environ)
    url = f"http://127.0.0.1:{port}"
    try:
        waiting.until_answers(process, f"{url}/sandbox/tasks")
        settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY = url, KEY
        settings.NOVITA_BILLS, settings.NOVITA_KEY_ID = True, owner_of(KEY)
        yield url
    finally:
        stack.stop([process])


def deliver(caller: Caller, model: str) -> Generation:
    """Take a generation through to its video, with the sandbox as the upstream."""
    image = inputs.store(caller.tenant.pk, inspect(image_bytes()))
    g = make_generation(caller, image=image, model=model)
    ends = time.monotonic() + MAX_WAIT_SECONDS
    while not g.finished_at:
        assert time.monotonic() < ends, g.status
        g = take_step(g)
    assert g.status == "succeeded", g.error_message
    return g


def read_books() -> UpstreamBooks:
    """Read balance and bills as they are three hours later, and return them."""
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3), tick=False) as traveller:
        upstream_books.read_due()
        traveller.shift(timedelta(seconds=61))
        upstream_books.read_due()
    return UpstreamBooks.objects.get()


def test_a_charge_behind_our_back_is_named_and_else_nothing(
    alice: Caller, bucket: Any, sandbox: str, capsys: Any
) -> None:
    videos = [deliver(alice, model) for model in MODELS]
    assert {video.account_name for video in videos} == {"novita"}
    row = read_books()
    assert row.error == ""
    spent = sum(video.spent_micro for video in videos)
    assert abs(100_000_000 - spent - (row.available_micro or 0)) < 100
    assert row.difference_micro == 0
    call_command("reconcile-bills", "--all")
    said = capsys.readouterr().out
    assert all(f", {model}: billed" in said for model in MODELS)

    UpstreamBooks.objects.all().delete()
    body = {"image": base64_of(image_bytes()), "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 1}
    body |= {"prompt": "", "camera_fixed": False}
    path = f"{sandbox}/v3/async/seedance-v1-lite-i2v"
    for key in (KEY, "the key of another service"):
        httpx.post(path, json=body, headers={"Authorization": f"Bearer {key}"}).raise_for_status()
    waiting_for = f"{sandbox}/openapi/v1/billing/balance/detail"
    both = (row.available_micro or 0) - 2 * videos[0].spent_micro
    ends = time.monotonic() + MAX_WAIT_SECONDS
    while (
        int(httpx.get(waiting_for, headers={"Authorization": "Bearer x"}).json()["availableBalance"]) * 100 > both + 200
    ):
        assert time.monotonic() < ends, "The videos are not rendered."
    row = read_books()
    assert abs(row.difference_micro - videos[0].spent_micro) < 100
    with pytest.raises(SystemExit):
        call_command("reconcile-bills")
    [line] = capsys.readouterr().out.splitlines()
    assert "seedance-v1-lite-i2v: billed" in line
    assert "for 2 units" in line
    assert "for 1 videos" in line


def test_a_wrong_question_is_refused_as_upstream(sandbox: str) -> None:
    url = f"{sandbox}/openapi/v1/billing/apikey/bill/list"
    good = {"cycleType": "Hour", "category": "gen_api", "startTime": "0", "endTime": "604800"}
    headers = {"Authorization": f"Bearer {KEY}"}
    assert httpx.get(url, params=good, headers=headers).json() == {"bills": []}
    for changes, reason in (
        ({"cycleType": "Day"}, "INVALID_BILL_CYCLE"),
        ({"category": "gpu"}, "INVALID_PRODUCT_CATEGORY"),
        ({"endTime": "604801"}, "INVALID_TIME_RANGE"),
        ({"startTime": "soon"}, "INVALID_TIME_RANGE"),
    ):
        answer = httpx.get(url, params={**good, **changes}, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert httpx.get(url, params=good).status_code == 403
