"""Signed URLs of a role's session: every place that names a time of validity names what S3 will hold to."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from generations.bucket import objects, self_test
from generations.webhooks import novita_payload
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.aws_agent import Agent, session_of
from tests.support.factories import Caller
from tests.support.stores import Store

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]
Start = Callable[..., Agent]
NATIVE, WIRE = "/v1/generations/{}", "/v3/async/task-result?task_id={}"


def life_of(url: str) -> tuple[datetime, int]:
    """Return the time at which a URL was signed, and for how many seconds."""
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Amz-Date"][0] + "+0000", "%Y%m%dT%H%M%SZ%z")
    return signed_at, int(query["X-Amz-Expires"][0])


@pytest.mark.parametrize(("minutes", "least", "most"), [(20, 1190, 1200), (90, 3600, 3600)])
def test_every_url_lives_as_long_as_it_says(
    minutes: int, least: int, most: int, alice: Caller, agent: Start, admin_client: Client
) -> None:
    agent(session_of(minutes=minutes))
    generation, _ = put_in(alice, "succeeded")
    row = alice.http.get(NATIVE.format(generation.pk)).json()
    [wire] = alice.http.get(WIRE.format(generation.pk)).json()["videos"]
    [sent] = novita_payload.render(generation)["videos"]
    redirects = [alice.http.get(f"/v1/generations/{generation.pk}/{name}")["Location"] for name in ("video", "poster")]
    panel = admin_client.get(f"/admin/generations/generation/{generation.pk}/video/")["Location"]
    urls = [row["video"]["url"], row["poster"]["url"], wire["video_url"], sent["video_url"], *redirects, panel]
    lives = [life_of(url) for url in urls]
    assert all(least <= seconds <= most for _, seconds in lives)
    ends = [signed_at.timestamp() + seconds for signed_at, seconds in lives]
    assert datetime.fromisoformat(row["expires_at"]).timestamp() == min(ends[:2])
    assert [wire["video_url_ttl"], sent["video_url_ttl"]] == [str(lives[2][1]), str(lives[3][1])]
    assert all("X-Amz-Security-Token=token-of-the-session" in url for url in urls)


def test_a_session_is_renewed_before_a_url_is_cut_short(alice: Caller, agent: Start) -> None:
    agent(session_of(minutes=20), session_of(minutes=360))
    generation, _ = put_in(alice, "succeeded")
    assert life_of(alice.http.get(NATIVE.format(generation.pk)).json()["video"]["url"])[1] == 3600


@pytest.mark.parametrize(
    "path", [NATIVE, WIRE, "/v1/generations/{}/video", "/v1/generations/{}/poster", "/v1/generations"]
)
@pytest.mark.parametrize("first", [session_of(minutes=-1), (500, {}), (200, {})])
def test_a_read_without_credentials_is_503_and_claims_nothing_of_a_create(
    first: Any, path: str, alice: Caller, agent: Start
) -> None:
    agent(first, (500, {}))
    generation, _ = put_in(alice, "succeeded")
    answer = alice.http.get(path.format(generation.pk))
    assert (answer.status_code, answer["Retry-After"] != "") == (503, True)
    assert b"No URL of the video can be signed at present." in answer.content
    assert b"created" not in answer.content


def test_a_page_of_the_panel_opens_without_credentials(alice: Caller, agent: Start, admin_client: Client) -> None:
    agent((500, {}))
    generation, _ = put_in(alice, "succeeded")
    assert admin_client.get(f"/admin/generations/generation/{generation.pk}/change/").status_code == 200
    assert admin_client.get(f"/admin/generations/generation/{generation.pk}/video/").status_code == 503


@pytest.mark.parametrize(
    ("minutes", "is_shorter", "words"),
    [(20, True, "they end in 1"), (90, False, "they end in 5")],
)
def test_doctor_names_the_source_and_the_end_and_never_the_content(
    minutes: int, is_shorter: bool, words: str, agent: Start
) -> None:
    agent(session_of(minutes=minutes))
    facts = self_test.describe_credentials()
    assert facts.is_shorter is is_shorter
    assert facts.fact.startswith("from the container's role")
    assert words in facts.fact
    assert not any(part in facts.fact for part in ("ASIAROLE", "secret-of", "token-of"))


def test_doctor_warns_of_a_token_whose_end_is_not_known(no_credentials: None, settings: Any) -> None:
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = "ASIA", "secret"
    assert self_test.describe_credentials() == ("from the settings, without an end", False)
    settings.AWS_SESSION_TOKEN = "token"
    assert self_test.describe_credentials() == ("from the settings, with a session token whose end is not known", True)


def test_calls_to_s3_go_on_while_the_agent_fails_and_the_session_lasts(agent: Start, store: Store) -> None:
    agent(session_of(minutes=8), (500, {}))
    objects.put("a", b"content", "image/png")
    assert objects.read("a") == b"content"
