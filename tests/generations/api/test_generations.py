"""The native API: create, read and list."""

from typing import Any
from uuid import uuid4

import pytest

from generations.models import Generation
from tenants.db.engine import engine
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes

pytestmark = [pytest.mark.usefixtures("bucket"), pytest.mark.one_database]


def create(caller: Caller, body: Any) -> Any:
    return caller.http.post("/v1/generations", body, format="json")


def test_a_create_is_202_with_the_row_and_where_to_find_it(alice: Caller, body: dict[str, Any]) -> None:
    answer = create(alice, {**body, "model": "seedance-v1-lite-i2v", "prompt": "a ship"})
    row = answer.json()
    assert answer.status_code == 202
    assert answer["Location"] == f"/v1/generations/{row['id']}"
    assert (row["status"], row["prompt"], row["price_usd"]) == ("queued", "a ship", "0.088209")
    assert 0 <= row["seed"] < 2**31
    assert row["image"]["size"] == len(image_bytes())
    assert alice.http.get(answer["Location"]).json() == row


def test_the_answer_shows_the_recorded_values(alice: Caller, body: dict[str, Any]) -> None:
    row = create(alice, body).json()
    g = Generation.objects.get(pk=row["id"])
    for name in ("model", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed", "seed_source"):
        assert row[name] == getattr(g, name)


def test_a_success_shows_the_video_the_poster_and_when_their_urls_expire(alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    row = alice.http.get(f"/v1/generations/{g.pk}").json()
    url = row["video"].pop("url")
    assert "videos/1.mp4" in url
    assert f"{g.pk}.mp4" in url
    assert "videos/1.jpg" in row["poster"]["url"]
    assert row["expires_at"] > row["finished_at"]
    assert row["video"] == {
        "size": 9,
        "sha256": "ab" * 32,
        "codec": "h264",
        "width": 864,
        "height": 480,
        "fps": 24.0,
        "duration": 5.04,
        "as_requested": True,
        "differences": [],
    }


def test_a_failure_shows_its_code_and_its_sentence(alice: Caller) -> None:
    g, _ = put_in(alice, "failed")
    row = alice.http.get(f"/v1/generations/{g.pk}").json()
    assert row["error"] == {"code": "upstream_failed", "message": "No."}
    assert (row["video"], row["poster"], row["expires_at"]) == (None, None, None)


def test_the_list_is_the_tenants_own_newest_first(alice: Caller, bob: Caller) -> None:
    mine = [make_generation(alice) for _ in range(3)]
    make_generation(bob)
    rows = alice.http.get("/v1/generations").json()["generations"]
    assert [row["id"] for row in rows] == [str(g.pk) for g in reversed(mine)]


def test_a_list_takes_one_prepared_statement_for_many_rows_as_for_one(
    alice: Caller, django_assert_num_queries: Any, monkeypatch: Any
) -> None:
    for _ in range(5):
        make_generation(alice)
    alice.http.get("/v1/generations")  # notes the key's use, once a minute
    run, prepared = engine.run, list[str]()
    monkeypatch.setattr(
        engine, "run", lambda sql, *values, **options: prepared.append(sql) or run(sql, *values, **options)
    )
    with django_assert_num_queries(0):
        alice.http.get("/v1/generations")
    assert len(prepared) == 1


def test_another_tenants_an_unknown_and_a_malformed_id_are_the_same(alice: Caller, bob: Caller) -> None:
    mallory_has, _ = put_in(alice, "succeeded")
    answers = {
        (answer.status_code, answer.content, answer["Content-Type"])
        for answer in (
            bob.http.get(f"/v1/generations/{row_id}") for row_id in (mallory_has.pk, uuid4(), "x", "%00", "0")
        )
    }
    [(status, content, kind)] = answers
    assert (status, kind) == (404, "application/problem+json")
    assert b"generation_not_found" in content


def test_every_wrong_field_is_named(alice: Caller) -> None:
    answer = create(alice, {"image": 5, "resolution": "8k", "duration": "5", "sede": 1})
    problem = answer.json()
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert "sede" in problem["detail"]


def test_all_wrong_known_fields_are_named_at_once(alice: Caller) -> None:
    problem = create(alice, {"image": 5, "resolution": "8k", "duration": "5"}).json()
    assert [field["field"] for field in problem["errors"]] == ["image", "resolution", "duration"]


def test_a_wrong_image_names_its_field_and_its_code(alice: Caller, body: dict[str, Any]) -> None:
    problem = create(alice, {**body, "last_image": "!"}).json()
    assert problem["errors"] == [
        {
            "field": "last_image",
            "detail": "The image is neither an http(s) URL nor valid Base64.",
            "code": "image_not_url_or_base64",
        }
    ]


@pytest.mark.parametrize(("limit", "status"), [("in_flight", 429), ("usd_per_month_micro", 402)])
def test_a_limit_says_what_is_used_and_when_to_come_back(
    alice: Caller, body: dict[str, Any], limit: str, status: int
) -> None:
    alice.limit(**{limit: 0})
    answer = create(alice, body)
    assert answer.status_code == status
    assert int(answer["Retry-After"]) > 0
    assert "0" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/v3/nothing", "/nothing", "/v1/"])
def test_an_address_with_nothing_there_answers_in_json(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert "json" in answer["Content-Type"]


@pytest.mark.parametrize("path", ["/v1/generations", "/v3/async/task-result", "/admin/login/"])
def test_a_host_that_is_not_ours_is_refused_without_html(db: None, path: str) -> None:
    answer = Client().get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert b"<html" not in answer.content.lower()


def test_an_unexpected_error_is_a_500_in_json_without_details(alice: Caller, settings: Any) -> None:
    settings.SIGNED_URL_TTL = "not a number"
    g, _ = put_in(alice, "succeeded")
    answer = alice.http.get(f"/v1/generations/{g.pk}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert b"not a number" not in answer.content


def test_both_apis_see_the_same_generation(alice: Caller, body: dict[str, Any]) -> None:
    task_id = alice.http.post("/v3/async/seedance-v1-lite-i2v", body, format="json").json()["task_id"]
    assert alice.http.get(f"/v1/generations/{task_id}").json()["id"] == task_id


GOOD_METADATA: list[Any] = [None, {}, {"a": ""}, {"n" * 64: "v" * 512}, {str(n): "x" for n in range(16)}, {"é": "船"}]


@pytest.mark.parametrize("metadata", GOOD_METADATA)
def test_metadata_and_an_external_id_come_back_as_they_were_given(
    alice: Caller, body: dict[str, Any], metadata: Any
) -> None:
    row = create(alice, {**body, "metadata": metadata, "external_id": "order-4711"}).json()
    assert (row["metadata"], row["external_id"]) == (metadata or {}, "order-4711")
    assert alice.http.get(f"/v1/generations/{row['id']}").json()["metadata"] == (metadata or {})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"metadata": []}, "metadata"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": None}}, "metadata"),
        ({"metadata": {"a": {"b": "c"}}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"n" * 65: "x"}}, "metadata"),
        ({"metadata": {"a": "v" * 513}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a\n": "x"}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"external_id": 5}, "external_id"),
        ({"external_id": "x" * 256}, "external_id"),
        ({"external_id": "a\nb"}, "external_id"),
        ({"webhook_url": "http://127.0.0.1/hook"}, "webhook_url"),
        ({"webhook_url": "https://169.254.169.254/"}, "webhook_url"),
        ({"webhook_url": "ftp://example.com"}, "webhook_url"),
        ({"webhook_url": "https://example.com/" + "x" * 2000}, "webhook_url"),
    ],
)
def test_external_id_metadata_and_webhook_are_checked_too(
    alice: Caller, body: dict[str, Any], wrong: dict[str, Any], field: str
) -> None:
    answer = create(alice, {**body, **wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert not Generation.objects.exists()


def test_the_end_is_delivered_to_the_callers_webhook_url(alice: Caller, body: dict[str, Any]) -> None:
    row = create(alice, {**body, "webhook_url": "https://hooks.example.com/a?token=x"}).json()
    assert row["webhook_url"] == "https://hooks.example.com/a?token=x"
    assert Generation.objects.get().webhook_format == "standard"


def test_an_unknown_model_is_refused_with_those_that_a_create_takes(alice: Caller) -> None:
    answer = alice.http.post("/v1/generations", {"model": "kling", "prompt": "a"}, format="json")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (400, "model", "invalid_choice")
    assert "kling-v3.0-std-t2v" in error["detail"]
    assert "wan2.6-t2v" not in error["detail"]  # retired


def test_a_field_that_the_model_has_not_is_named_with_those_that_it_has(alice: Caller) -> None:
    body = {"model": "kling-v3.0-std-t2v", "prompt": "a ship", "resolution": "480p", "sede": None}
    answer = alice.http.post("/v1/generations", body, format="json").json()
    assert [(error["field"], error["code"]) for error in answer["errors"]] == [
        ("resolution", "unknown"),
        ("sede", "unknown"),
    ]
    assert answer["errors"][0]["detail"] == (
        "For kling-v3.0-std-t2v, there is no field resolution. The fields of this model are prompt, aspect_ratio, "
        "duration, negative_prompt, cfg_scale, audio."
    )
