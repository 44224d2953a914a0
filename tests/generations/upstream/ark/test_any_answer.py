"""Answers of any form, by Hypothesis: no error but the documented, nothing believed that is not plain."""

import json

from hypothesis import given
from hypothesis import strategies as st

from generations.upstream import outcomes
from generations.upstream.ark.answers import parse_callback, parse_submit, parse_task
from generations.upstream.errors import UpstreamError
from generations.upstream.outcomes import Created, Failed, InDoubt
from tests.support.ark_answers import (
    CONTENT,
    GONE,
    ID,
    LATER,
    MODERATED,
    OF_ACCOUNT,
    OTHER,
    OUTPUT_MODERATED,
    parsed,
)
from tests.support.upstream import ASKED

URL = "https://videos.example.com/1.mp4"


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
all_codes = [*CONTENT, *MODERATED, *OUTPUT_MODERATED, *LATER, *[code for _, code in OF_ACCOUNT + GONE], "New", ""]
errors = st.one_of(
    anything, st.fixed_dictionaries({"code": st.sampled_from(all_codes) | anything}, optional={"message": anything})
)
ids = st.one_of(st.sampled_from([ASKED, ID, OTHER, "", None, 7]), anything)
statuses = st.sampled_from(["queued", "running", "succeeded", "failed", "cancelled", "expired"]) | anything
contents = st.one_of(
    anything, st.fixed_dictionaries({"video_url": st.sampled_from([URL, "http://[::1", ""]) | anything})
)
tasks = st.fixed_dictionaries(
    {},
    optional={
        "id": ids,
        "status": statuses,
        "error": errors,
        "content": contents,
        "seed": anything,
        "usage": anything,
        **dict.fromkeys(("resolution", "ratio", "duration", "frames", "created_at", "model"), anything),
    },
)
bodies = st.one_of(
    tasks.map(json.dumps).map(str.encode), anything.map(json.dumps).map(str.encode), st.binary(max_size=60)
)
http_statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503])


@given(http_statuses, bodies)
def test_any_answer_to_a_create_is_an_outcome_and_only_a_plain_id_means_created(status: int, content: bytes) -> None:
    outcome = parse_submit(parsed(status, content))
    if isinstance(outcome, Created):
        assert 200 <= status < 300
        assert json.loads(content)["id"] == outcome.upstream_id
    elif not isinstance(outcome, InDoubt):
        assert 400 <= status < 500
        assert json.loads(content)["error"]["code"]


@given(http_statuses, bodies)
def test_any_answer_to_a_poll_is_an_outcome_or_not_yet(status: int, content: bytes) -> None:
    try:
        outcome = parse_task(parsed(status, content), ASKED)
    except UpstreamError:
        return
    body = json.loads(content)
    assert (status, body["id"]) == (200, ASKED)
    if isinstance(outcome, outcomes.Rendered):
        assert (body["status"], body["content"]["video_url"]) == ("succeeded", outcome.video_url)
        assert outcome.video_url.startswith(("https://", "http://"))
    if isinstance(outcome, Failed):
        assert body["status"] in ("failed", "expired")
        assert outcome.reason.encode()
    if isinstance(outcome, outcomes.Cancelled):
        assert body["status"] == "cancelled"


@given(bodies)
def test_any_callback_names_a_task_or_none(content: bytes) -> None:
    assert parse_callback(content) in ("", ID, OTHER)
