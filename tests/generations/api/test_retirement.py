"""The end of a model, for callers: its announcement in headers, and 410 from its last day on."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine

from generations.catalog import states, video_models
from generations.models import Generation, InputImage, ModelState
from generations.ops import model_states
from tenants.audit import Actor
from tenants.models import LedgerEntry
from tests.generations.admin.rows import page_url
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, image_bytes

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
OLGA = Actor(name="olga", reason="the vendor's notice")
BODY = {"image": "https://pictures.example.com/a.png", "resolution": "480p"}
WIRE_BODY = {**BODY, "prompt": ""}
WIRE = f"/v3/async/{LITE}"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def retire(model: str, replacement: str = PRO) -> None:
    """Retire the model, by an operator."""
    model_states.retire(OLGA, video_models.models()[model], replacement)


def deprecate(model: str, day: date | None, replacement: str = PRO) -> None:
    """Announce the end of the model, by an operator."""
    model_states.deprecate(OLGA, video_models.models()[model], day, replacement)


@pytest.mark.django_db(transaction=True)
def test_a_create_with_a_retired_model_is_gone_and_nothing_is_stored_or_held(alice: Caller, bucket: Any) -> None:
    with time_machine.travel(NOON, tick=False):
        retire(LITE)
        answer = alice.http.post(
            "/v1/generations", {**BODY, "image": base64_of(image_bytes()), "model": LITE}, format="json"
        )
        wire = alice.http.post(WIRE, WIRE_BODY, format="json")
    assert answer.status_code == 410
    body = answer.json()
    assert (body["code"], body["replacement"]) == ("model_retired", PRO)
    assert body["detail"].startswith(f"The model {LITE} is retired since 2026-11-02. Use {PRO} in its place")
    assert (wire.status_code, wire.json()["reason"]) == (404, "API_NOT_FOUND")
    assert wire.json()["metadata"]["replacement"] == PRO
    assert not Generation.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert not InputImage.objects.exists()


def test_a_model_without_a_successor_has_null_as_its_replacement(alice: Caller) -> None:
    retire(PRO, "")
    states.forget()
    body = alice.http.post("/v1/generations", {**BODY, "model": PRO}, format="json").json()
    assert (body["code"], body["replacement"]) == ("model_retired", None)
    answer = alice.http.post(WIRE.replace(LITE, PRO), WIRE_BODY, format="json").json()
    assert "replacement" not in answer["metadata"]


def test_the_models_whose_files_say_so_are_retired(alice: Caller) -> None:
    retired = [model for model in video_models.models().values() if model.row.state == "retired"]
    assert len(retired) >= 6
    for model in retired:
        answer = alice.http.post("/v1/generations", {"model": model.id, **_smallest(model)}, format="json")
        assert (answer.status_code, answer.json()["replacement"]) == (410, model.row.replacement), model.id


def _smallest(model: video_models.VideoModel) -> dict[str, Any]:
    """Return a value for each required field of the model."""
    texts = {"image": BODY["image"], "prompt": "A lighthouse."}
    required = [field for name, field in model.fields.items() if field.row.presence == "required"]
    return {field.row.name: texts.get(field.row.name) or next(iter(field.values)) for field in required}


@pytest.mark.parametrize("path", ["/v1/generations", WIRE])
def test_an_earlier_create_is_answered_again_after_the_retirement(alice: Caller, path: str) -> None:
    headers = {"Idempotency-Key": "one"}
    first = alice.http.post(path, WIRE_BODY, format="json", headers=headers)
    retire(LITE)
    states.forget()
    again = alice.http.post(path, WIRE_BODY, format="json", headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert alice.http.post(path, WIRE_BODY, format="json", headers={"Idempotency-Key": "two"}).status_code in (404, 410)


def test_reruns_are_refused_and_reading_goes_on(alice: Caller, admin_client: Client) -> None:
    source = make_generation(alice, image=None, image_url=BODY["image"], status="queued")
    retire(LITE)
    states.forget()
    answer = alice.http.post(f"/v1/generations/{source.pk}/rerun", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (410, "model_retired")
    page = page_url(source, "rerun")
    refused = admin_client.post(page, {"seed": "7", "reason": "again", "form_token": "A" * 22})
    assert f"The model {LITE} is retired since" in refused.content.decode()
    assert Generation.objects.count() == 1
    assert alice.http.get(f"/v1/generations/{source.pk}").json()["status"] == "queued"
    assert alice.http.get("/v1/generations", {"model": LITE}).json()["generations"][0]["id"] == str(source.pk)
    assert alice.http.get("/v3/async/task-result", {"task_id": str(source.pk)}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/v1/generations", 202), (WIRE, 200)])
def test_the_end_is_announced_in_headers_until_the_day_itself(alice: Caller, path: str, status: int) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        plain = alice.http.post(path, WIRE_BODY, format="json")
        assert {"Deprecation", "Sunset", "Link"} & set(plain.headers) == set()
        deprecate(LITE, date(2026, 12, 1))
        states.forget()
        answer = alice.http.post(path, WIRE_BODY, format="json")
        assert answer.status_code == status
        assert answer.headers["Deprecation"] == f"@{int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())}"
        assert answer.headers["Sunset"] == "Tue, 01 Dec 2026 00:00:00 GMT"
        assert answer.headers["Link"] == f'</v1/models/{PRO}>; rel="successor-version"'
        page = alice.http.get(f"/v1/models/{LITE}")
        ending = ("Deprecation", "Sunset", "Link")
        assert [page.headers[name] for name in ending] == [answer.headers[name] for name in ending]
        clock.move_to(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
        assert alice.http.post(path, WIRE_BODY, format="json").status_code == status
        clock.move_to(datetime(2026, 12, 1, tzinfo=UTC))
        assert alice.http.post(path, WIRE_BODY, format="json").status_code in (404, 410)


def test_a_model_whose_last_day_is_open_has_no_sunset(alice: Caller) -> None:
    deprecate(LITE, None, "")
    states.forget()
    answer = alice.http.post("/v1/generations", BODY, format="json")
    assert "Deprecation" in answer.headers
    assert {"Sunset", "Link"} & set(answer.headers) == set()


def test_the_replacement_is_the_one_that_lives(alice: Caller) -> None:
    retire(LITE, PRO)
    retire(PRO, "kling-v3.0-pro-i2v")
    states.forget()
    assert alice.http.post("/v1/generations", BODY, format="json").json()["replacement"] == "kling-v3.0-pro-i2v"


def test_an_operators_change_reaches_other_processes_within_seconds(alice: Caller, monkeypatch: Any) -> None:
    assert alice.http.post("/v1/generations", BODY, format="json").status_code == 202
    day = datetime.now(UTC).date() - timedelta(days=1)
    ModelState.objects.create(model=LITE, state="retired", retires_at=day, reason="by another process")
    assert alice.http.post("/v1/generations", BODY, format="json").status_code == 202
    states.forget()  # as after REREAD_SECONDS
    assert alice.http.post("/v1/generations", BODY, format="json").status_code == 410
