"""Helpers for the tests of copies: take steps as a worker does, and read what is stored and served."""

import hashlib
import itertools
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from generations.models import Generation
from generations.worker import steps
from tests.faults.proxy import Answer, AnswerAfter, Fault, LoseAnswer, Proxy, Request, Reset
from tests.support.factories import Caller, make_generation
from tests.support.worker import claim_due, ledger_kinds

BUCKET = "seedance-tests"
Status = Generation.Status
# The statuses that may follow a status in the Event rows. A repeated status is the first error in it.
NEXT = {
    "queued": {"queued", "submitting", "cancelled", "failed"},
    "submitting": {"running", "in_doubt", "queued", "failed"},
    "running": {"running", "copying", "failed"},
    "copying": {"copying", "succeeded", "failed"},
}


def at_the_upstream(caller: Caller, **facts: Any) -> Generation:
    """Return a generation that the upstream is rendering."""
    made = make_generation(caller)
    known = {"status": Status.RUNNING, "submitted_at": timezone.now(), "upstream_id": f"upstream-{made.pk}"}
    Generation.objects.filter(pk=made.pk).update(**{**known, **facts})
    return Generation.objects.get(pk=made.pk)


def claim(generation: Generation) -> Generation:
    """Claim the row before any other, as if its last lease had run out."""
    due_at = timezone.now() - timedelta(minutes=5)  # before all others, and not as late as after a stop of the workers
    Generation.objects.filter(pk=generation.pk, due_at__isnull=False).update(due_at=due_at)
    [claimed] = claim_due(1)
    return claimed


def take_step(generation: Generation) -> Generation:
    """Claim the generation, take its step, and return the generation as it is afterwards."""
    steps.advance(claim(generation))
    return Generation.objects.get(pk=generation.pk)


def until_done(generation: Generation) -> Generation:
    """Take up to five steps, until the generation is no longer copying."""
    for _ in range(5):
        generation = take_step(generation)
        if generation.status != Status.COPYING:
            return generation
    raise AssertionError("Five more steps did not copy the video.")


def objects(s3: Any, generation: Generation) -> dict[str, bytes]:
    """Return all objects of the generation in the bucket."""
    prefix = f"videos/{generation.tenant_id}/{generation.created_at:%Y/%m}/{generation.pk}"
    entries = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {entry["Key"]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in entries}


def read_both(caller: Caller, generation: Generation) -> tuple[dict[str, Any], dict[str, Any]]:
    """The generation at each of the two APIs."""
    own = caller.http.get(f"/v1/generations/{generation.pk}")
    wire = caller.http.get(f"/v3/async/task-result?task_id={generation.pk}")
    assert (own.status_code, wire.status_code) == (200, 200)
    return own.json(), wire.json()


def assert_nothing_is_served(caller: Caller, generation: Generation) -> None:
    """Check that neither API serves a video or a poster."""
    own, wire = read_both(caller, generation)
    assert (own["video"], own["poster"], own["expires_at"]) == (None, None, None)
    assert (wire["videos"], wire["images"]) == ([], [])
    assert "X-Amz-Signature" not in f"{own}{wire}"
    assert generation.video_key == generation.video_sha256 == generation.poster_key == ""


def assert_copied(caller: Caller, generation: Generation, content: bytes, s3: Any) -> None:
    """Check that exactly these bytes are stored and served, and were paid for once."""
    assert generation.status == Status.SUCCEEDED, list(generation.events.values_list("status", "message", "detail"))
    assert (generation.video_size, generation.video_sha256) == (len(content), hashlib.sha256(content).hexdigest())
    stored = objects(s3, generation)
    assert set(stored) == {generation.video_key, generation.poster_key}
    assert stored[generation.video_key] == content
    assert stored[generation.poster_key].startswith(b"\xff\xd8")
    own, wire = read_both(caller, generation)
    assert own["video"]["sha256"] == generation.video_sha256
    for url in (own["video"]["url"], wire["videos"][0]["video_url"]):
        assert f"{generation.video_key}?" in url
        if url.startswith("http://127.0.0.1"):  # a real store: what a caller gets
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == content
    assert ledger_kinds(generation) == ["hold", "capture"]
    assert_legal(generation)


def assert_legal(generation: Generation) -> None:
    """Check that each status may follow the one before."""
    states = list(generation.events.order_by("id").values_list("status", flat=True))
    if states[1:2] == ["copying"]:  # put to the upstream by the test itself
        states.insert(1, "running")
    allowed = {**NEXT, "queued": NEXT["queued"] | {"running"}}
    assert all(after in allowed.get(before, set()) for before, after in itertools.pairwise(states)), states


def error(status: int, code: str, **headers: str) -> Answer:
    """Return an error answer in the format of S3."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>?</Message></Error>'.encode()
    return Answer(status, body, {"Content-Type": "application/xml", **headers})


# What any call to S3 can suffer.
EVERYWHERE: dict[str, Fault] = {
    "500": error(500, "InternalError"),
    "503": error(503, "SlowDown"),
    "502 of a balancer": Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "403": error(403, "AccessDenied"),
    "skewed": error(403, "RequestTimeTooSkewed"),
    "session ended": error(403, "ExpiredToken"),
    "404": error(404, "NoSuchBucket"),
    "301": error(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-1"}),
    "307": error(307, "TemporaryRedirect", Location="http://127.0.0.1:1/"),
    "400 of a region": error(400, "AuthorizationHeaderMalformed", **{"x-amz-bucket-region": "eu-west-1"}),
    "reset": Reset(),
    "answer lost": LoseAnswer(),
    "done, and 500": AnswerAfter(500, b""),
}


def always(between: Proxy, call: Callable[[Request], bool], fault: Fault) -> None:
    """Inject the fault into each such call."""
    between.choose = lambda request: fault if call(request) else None


def once(between: Proxy, call: Callable[[Request], bool], fault: Fault) -> None:
    """Inject the fault into the next such call."""
    left = [fault]
    between.choose = lambda request: left.pop() if left and call(request) else None


def never(between: Proxy) -> None:
    """Inject no fault."""
    between.choose = lambda request: None
