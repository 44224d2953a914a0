"""Tests of the models' pages: what they say, who sees which, and that a cache asks in vain while nothing changes."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from generations.catalog import json_schema, states, video_models
from generations.models import ModelState
from tenants import actions
from tests.support.factories import ACTOR, Caller

FIELDS = (
    *("id", "title", "task", "state", "replacement", "retires_at", "announced_at", "supported_resolutions"),
    *("supported_aspect_ratios", "supported_durations", "seed", "audio", "image", "prices", "settle", "schema"),
    "unknown",
)
BEFORE, AFTER = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _after_the_retirements() -> Any:
    with time_machine.travel(AFTER, tick=False):
        yield


def listed(caller: Caller, **query: str) -> list[str]:
    answer = caller.http.get("/v1/models", query)
    assert answer.status_code == 200, answer.content
    return [model["id"] for model in answer.json()["models"]]


def page(caller: Caller, model_id: str) -> dict[str, Any]:
    answer = caller.http.get(f"/v1/models/{model_id}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def set_state(model: str, state: str, **facts: Any) -> None:
    ModelState.objects.create(model=model, state=state, reason="tests", **facts)
    states.forget()


@pytest.mark.parametrize("model_id", video_models.models())
def test_every_model_has_a_page_with_the_same_fields(alice: Caller, model_id: str) -> None:
    body, model = page(alice, model_id), video_models.models()[model_id]
    assert tuple(body) == FIELDS
    assert body["id"] == model_id
    assert body["supported_durations"] == list(model.supported("duration"))
    assert body["unknown"] == list(model.row.unknown)
    jsonschema.Draft202012Validator.check_schema(body["schema"])
    assert body["schema"]["$schema"] == json_schema.DRAFT


def test_a_page_says_what_a_caller_needs_to_choose_and_to_pay(alice: Caller) -> None:
    kling = page(alice, "kling-v3.0-std-i2v")
    assert {"when": {"audio": True}, "unit": "second", "usd": "0.126000"} in kling["prices"]
    assert kling["supported_resolutions"] == []
    assert kling["supported_durations"] == list(range(3, 16))
    assert (kling["seed"], kling["audio"], kling["task"], kling["state"]) == (False, True, "i2v", "active")
    assert kling["image"]["max_bytes"] == 10_000_000
    assert "encoding" not in kling["image"]
    lite = page(alice, "seedance-v1-lite-i2v")
    assert lite["prices"] == [{"when": {}, "unit": "million_tokens", "usd": "1.800000"}]
    assert page(alice, "kling-v3.0-std-t2v")["image"] is None


def test_the_list_has_active_and_deprecated_models_alone(alice: Caller, settings: Any) -> None:
    settings.ARK_API_KEY = "a key"  # a model that no account offers is not listed
    set_state("kling-v3.0-pro-t2v", "hidden")
    set_state("kling-v3.0-pro-i2v", "deprecated", retires_at=date(2027, 1, 1), replacement="kling-v3.0-std-i2v")
    default, hidden, retired = listed(alice), listed(alice, state="hidden"), listed(alice, state="retired")
    assert hidden == ["kling-v3.0-pro-t2v"]
    assert "wan2.6-i2v" in retired
    assert set(default) == set(video_models.models()) - {*hidden, *retired}
    assert listed(alice, state="deprecated") == ["kling-v3.0-pro-i2v"]
    either = {name for name in default if page(alice, name)["task"] == "both"}
    assert "seedance-2-0" in either
    assert set(listed(alice, task="both")) == either
    assert set(listed(alice, task="t2v")) == either | {name for name in default if name.endswith("t2v")}
    assert set(listed(alice, task="i2v")) == either | {name for name in default if name.endswith("i2v")}
    assert page(alice, "kling-v3.0-pro-t2v")["state"] == "hidden"
    deprecated = page(alice, "kling-v3.0-pro-i2v")
    assert deprecated["retires_at"] == "2027-01-01"
    assert deprecated["replacement"] == "kling-v3.0-std-i2v"


def test_a_model_whose_image_is_optional_says_so(alice: Caller) -> None:
    model = page(alice, "seedance-2-0")
    assert (model["task"], model["settle"], model["audio"], model["seed"]) == ("both", "usage", True, True)
    assert model["schema"]["required"] == ["model"]
    assert [rule["then"]["required"] for rule in model["schema"]["allOf"]] == [["prompt"], ["image"]]
    rates = [{"when": {"resolution": "1080p"}, "unit": "million_tokens", "usd": "7.700000"}]
    assert model["prices"] == [*rates, {"when": {}, "unit": "million_tokens", "usd": "7.000000"}]


def test_the_list_holds_the_pages(alice: Caller) -> None:
    [model] = alice.http.get("/v1/models", {"state": "active", "task": "i2v"}).json()["models"][:1]
    assert model == page(alice, model["id"])


def test_a_model_retires_on_its_day_by_itself(alice: Caller) -> None:
    assert page(alice, "wan2.6-t2v")["state"] == "retired"
    with time_machine.travel(BEFORE, tick=False):
        states.forget()
        set_state("kling-v3.0-std-t2v", "active", retires_at=date(2026, 9, 2))
        before = alice.http.get("/v1/models/kling-v3.0-std-t2v")
        assert before.json()["state"] == "deprecated"
    with time_machine.travel(datetime(2026, 9, 2, tzinfo=UTC), tick=False):
        after = alice.http.get("/v1/models/kling-v3.0-std-t2v", HTTP_IF_NONE_MATCH=before["ETag"])
        assert after.json()["state"] == "retired"
        assert "kling-v3.0-std-t2v" not in listed(alice)


def test_a_cache_gets_304_until_something_changes(alice: Caller) -> None:
    for path in ("/v1/models", "/v1/models/kling-v3.0-std-i2v"):
        first = alice.http.get(path)
        assert first["Cache-Control"] == "private, no-cache"
        again = alice.http.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        assert alice.http.head(path)["ETag"] == first["ETag"]
    tag = alice.http.get("/v1/models")["ETag"]
    set_state("kling-v3.0-std-i2v", "hidden")
    assert alice.http.get("/v1/models", HTTP_IF_NONE_MATCH=tag).status_code == 200


def test_prices_of_the_table_are_shown(alice: Caller, settings: Any) -> None:
    tag = alice.http.get("/v1/models/seedance-v1-lite-i2v")["ETag"]
    settings.PRICES = (
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.1", "usd": {"1080p": {"16:9": {"5": "0.40"}}}},'
        ' "wan2.6-i2v": {"rates": [{"usd": "0.1"}]}}'
    )
    assert page(alice, "seedance-v1-lite-i2v")["prices"] == [
        {
            "when": {"resolution": "1080p", "aspect_ratio": "16:9", "duration": 5},
            "unit": "video",
            "usd": "0.400000",
        },
        {"when": {}, "unit": "million_tokens", "usd": "2.100000"},
    ]
    assert page(alice, "wan2.6-i2v")["prices"] == [{"when": {}, "unit": "second", "usd": "0.100000"}]
    assert alice.http.get("/v1/models/seedance-v1-lite-i2v", HTTP_IF_NONE_MATCH=tag).status_code == 200


def test_an_operators_model_is_listed(alice: Caller, settings: Any, tmp_path: Path) -> None:
    text = (video_models.SHIPPED / "kling-v3.0-std-t2v.toml").read_text()
    text = text.replace('id = "kling-v3.0-std-t2v"', 'id = "acme-dream-1-t2v"').replace(
        "/v3/async/kling", "/v3/async/x"
    )
    (tmp_path / "acme.toml").write_text(text)
    settings.CATALOG_DIR = str(tmp_path)
    assert "acme-dream-1-t2v" in listed(alice)
    assert page(alice, "acme-dream-1-t2v")["schema"]["properties"]["model"] == {"const": "acme-dream-1-t2v"}


def test_the_schema_has_the_private_hosts_that_webhooks_may_lead_to(alice: Caller, settings: Any) -> None:
    body = {"image": "https://example.com/a.png", "resolution": "480p", "webhook_url": "http://hooks.internal/x"}
    for admitted in ([], ["hooks.internal"]):
        settings.FETCH_ALLOW_HOSTS = admitted
        schema = page(alice, "seedance-v1-lite-i2v")["schema"]
        assert jsonschema.Draft202012Validator(schema).is_valid(body) is bool(admitted)
        created = alice.http.post("/v1/generations", body, format="json")
        assert created.status_code == (202 if admitted else 400)


def test_a_key_sees_the_models_that_it_may_use(alice: Caller) -> None:
    limited = alice.with_key()
    actions.change_key(ACTOR, limited.key, allowed_models=["kling-v3.0-std-i2v", "wan2.6-i2v"])
    assert listed(limited) == ["kling-v3.0-std-i2v"]
    assert listed(limited, state="retired") == ["wan2.6-i2v"]
    refused = limited.http.get("/v1/models/seedance-v1-pro-i2v")
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")
    assert limited.http.get("/v1/models/kling-v3.0-std-i2v").status_code == 200


def test_reading_costs_no_query(alice: Caller) -> None:
    listed(alice)
    page(alice, "kling-v3.0-std-i2v")
    with CaptureQueriesContext(connection) as queries:
        listed(alice)
        page(alice, "kling-v3.0-std-i2v")
    assert not queries.captured_queries


@pytest.mark.parametrize("model_id", ["no-such-model", "x" * 300, "%00", "Seedance-v1-lite-i2v"])
def test_an_unknown_model_is_not_found(alice: Caller, model_id: str) -> None:
    answer = alice.http.get(f"/v1/models/{model_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("query", ["state=gone", "task=x", "state=", "limit=1", "state=active&state=hidden"])
def test_a_wrong_filter_is_named(alice: Caller, query: str) -> None:
    answer = alice.http.get(f"/v1/models?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_a_key_without_the_scope_is_refused(alice: Caller) -> None:
    writer = alice.with_key(scopes=["generations:write"])
    assert writer.http.get("/v1/models").json()["code"] == "scope_missing"
    assert writer.http.get("/v1/models/kling-v3.0-std-i2v").json()["code"] == "scope_missing"
