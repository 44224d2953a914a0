"""Tests of quotes: a quote is what the create holds and writes to the ledger, and takes nothing itself."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from generations.catalog import eta, prices, states, video_models
from generations.catalog.video_models import VideoModel
from generations.models import Generation
from generations.ops import model_states
from tenants import actions
from tenants.audit import Actor
from tenants.models import LedgerEntry, Window
from tests.support.factories import ACTOR, Caller, make_generation

URL = "https://example.com/a.png"
LITE = {"image": URL, "resolution": "480p"}
KLING = {"model": "kling-v3.0-std-i2v", "image": URL, "prompt": "Gulls cry", "duration": 3}
MAX_SAMPLED = 60
PRICED = '{"wan2.6-i2v": {"rates": [{"usd": "0.1"}]}, "wan2.6-t2v": {"rates": [{"usd": "0.1"}]}}'


def ask(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.http.post("/v1/generations/quote", body, format="json")
    assert answer.status_code == 200, answer.content
    quote: dict[str, Any] = answer.json()
    return quote


def limit(quote: dict[str, Any], name: str, scope: str = "tenant") -> dict[str, Any]:
    [found] = [limit for limit in quote["limits"] if (limit["name"], limit["scope"]) == (name, scope)]
    return dict(found)


@pytest.mark.parametrize(
    ("body", "usd"),
    [
        ({**LITE, "model": "seedance-v1-pro-i2v"}, "0.122513"),
        (LITE, "0.088209"),
        (KLING, "0.252000"),
        ({**KLING, "audio": True}, "0.378000"),
        ({"model": "kling-v3.0-pro-t2v", "prompt": "x", "duration": 15, "audio": True}, "2.520000"),
    ],
    ids=["pro 480p", "lite 480p", "kling", "kling with sound", "text to video"],
)
def test_known_prices(alice: Caller, body: dict[str, Any], usd: str) -> None:
    quote = ask(alice, **body)
    assert (quote["price_usd"], quote["hold_usd"]) == (usd, usd)
    assert quote["model"] == body.get("model", video_models.DEFAULT_ID)
    assert (quote["admitted"], quote["refusal"], quote["eta"]) == (True, None, None)


def combinations(model: VideoModel) -> list[dict[str, Any]]:
    """Return up to MAX_SAMPLED combinations of the values that decide the price, evenly sampled."""
    priced = {name: field for name, field in model.fields.items() if field.row.priced}
    values = [(False, True) if field.row.type == "boolean" else field.values for field in priced.values()]
    every = [dict(zip(priced, chosen, strict=True)) for chosen in product(*values)]
    return every[:: -(-len(every) // MAX_SAMPLED)]


def full_body(model: VideoModel, chosen: dict[str, Any]) -> dict[str, Any]:
    fillers = {"image": URL, "string": "x"}
    needed = {name: field for name, field in model.fields.items() if field.is_required and name not in chosen}
    required = {
        name: fillers[field.row.type] if field.row.type in fillers else field.values[0]
        for name, field in needed.items()
    }
    return {"model": model.id, **required, **chosen}


@pytest.mark.parametrize("model_id", video_models.models())
def test_quote_hold_and_ledger_entry_are_the_same_for_every_priced_combination(
    alice: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch, model_id: str
) -> None:
    settings.PRICES = PRICED
    model = video_models.models()[model_id]
    alive = model.row.state == "active"
    for chosen in combinations(model):
        body = full_body(model, chosen)
        answer = alice.http.post("/v1/generations/quote", body, format="json")
        if answer.status_code == 400:
            assert model.row.rules  # the combination is not for sale
            continue
        quote = answer.json()
        assert quote["price_usd"] == quote["hold_usd"]
        assert Decimal(quote["hold_usd"]) > 0
        if not alive:
            continue
        created = alice.http.post("/v1/generations", body, format="json")
        assert created.status_code == 202, created.content
        assert created.json()["price_usd"] == quote["price_usd"]
        hold = LedgerEntry.objects.get(generation_id=created.json()["id"])
        assert hold.kind == LedgerEntry.Kind.HOLD
        assert Decimal(hold.amount_micro) / 10**6 == Decimal(quote["hold_usd"])


def test_a_quote_takes_and_stores_nothing(alice: Caller, bucket: Any) -> None:
    alice.limit(per_day=5, requests_per_minute=1, usd_per_month_micro=1_000_000)
    make_generation(alice)
    windows = list(Window.objects.order_by("pk").values())
    first = ask(alice, **LITE)
    for _ in range(3):
        assert ask(alice, **LITE) == first
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1
    assert list(Window.objects.order_by("pk").values()) == windows
    assert not bucket.list_objects_v2(Bucket="seedance-tests").get("Contents")


def test_limits_are_those_of_the_limits_page_with_what_would_remain(alice: Caller) -> None:
    alice.limit(per_day=5, seconds_per_month=100, usd_per_month_micro=1_000_000)
    alice.limit_key(in_flight=3)
    make_generation(alice)
    quote, page = ask(alice, **LITE, duration=10), alice.http.get("/v1/limits").json()["limits"]
    assert [{name: row[name] for name in row if name != "remaining_after"} for row in quote["limits"]] == page
    assert limit(quote, "per_day") | {"resets_at": None} == {
        "name": "per_day",
        "scope": "tenant",
        "limit": 5,
        "used": 1,
        "remaining": 4,
        "remaining_after": 3,
        "resets_at": None,
    }
    assert limit(quote, "seconds_per_month")["remaining_after"] == 85
    assert limit(quote, "in_flight", "key")["remaining_after"] == 1
    assert limit(quote, "in_flight")["remaining_after"] is None
    assert limit(quote, "usd_per_month")["remaining"] == "0.911791"
    left = Decimal("0.911791") - Decimal(quote["price_usd"])
    assert limit(quote, "usd_per_month")["remaining_after"] == str(left)
    created = alice.http.post("/v1/generations", {**LITE, "duration": 10}, format="json")
    assert created.status_code == 202
    after = {(row["name"], row["scope"]): row["remaining"] for row in alice.http.get("/v1/limits").json()["limits"]}
    assert after == {(row["name"], row["scope"]): row["remaining_after"] for row in quote["limits"]}


def refusal_of_create(caller: Caller, body: dict[str, Any]) -> dict[str, str]:
    answer = caller.http.post("/v1/generations", body, format="json")
    assert answer.status_code not in (202, 400), answer.content
    return {name: answer.json()[name] for name in ("code", "detail")}


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"per_day": 1}, "limit_reached"),
        ({"in_flight": 1}, "limit_reached"),
        ({"seconds_per_month": 9}, "limit_reached"),
        ({"usd_per_month_micro": 100_000}, "budget_reached"),
        ({"requests_per_minute": 0}, "limit_reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "_".join(value),
)
def test_a_refusal_is_the_one_of_the_create(alice: Caller, limits: dict[str, int], code: str) -> None:
    make_generation(alice)
    alice.limit(**limits)
    quote = ask(alice, **LITE)
    assert quote["admitted"] is False
    assert quote["refusal"]["code"] == code
    assert quote["refusal"] == refusal_of_create(alice, LITE)
    assert quote["price_usd"] == "0.088209"
    [name] = limits
    assert limit(quote, name.removesuffix("_micro"))["remaining_after"] in (0, "0.000000", "0.011791", 4)


def test_a_limit_that_was_just_raised_counts_at_once(alice: Caller) -> None:
    """The key is cached for seconds: a quote asks the database, as the admission does."""
    alice.limit(per_day=0)
    assert ask(alice, **LITE)["admitted"] is False
    alice.limit(per_day=1)
    assert ask(alice, **LITE)["admitted"] is True


def test_a_suspended_tenant_and_a_model_that_is_not_allowed_are_refused(alice: Caller) -> None:
    actions.change_key(ACTOR, alice.key, allowed_models=["kling-v3.0-std-i2v"])
    quote = ask(alice, **LITE)
    assert quote["refusal"]["code"] == "model_not_allowed"
    assert quote["refusal"] == refusal_of_create(alice, LITE)
    assert ask(alice, **KLING)["admitted"] is True
    actions.suspend(ACTOR, alice.tenant)
    assert ask(alice, **KLING)["refusal"] == refusal_of_create(alice, KLING)


def test_a_retired_model_is_refused(alice: Caller) -> None:
    model_states.retire(Actor(name="olga", reason="a notice"), video_models.default())
    states.forget()
    quote = ask(alice, **LITE)
    assert (quote["admitted"], quote["refusal"]["code"]) == (False, "model_retired")
    assert quote["refusal"] == refusal_of_create(alice, LITE)


def test_a_model_without_a_price_has_a_quote_without_one(alice: Caller, settings: Any, tmp_path: Any) -> None:
    text = (video_models.SHIPPED / "kling-v3.0-std-t2v.toml").read_text().partition("[[price.rates]]")[0]
    text = text.replace('id = "kling-v3.0-std-t2v"', 'id = "acme-1-t2v"').replace("/async/kling", "/async/acme")
    (tmp_path / "acme.toml").write_text(text)
    settings.CATALOG_DIR = str(tmp_path)
    alice.limit(usd_per_month_micro=5_000_000)
    body = {"model": "acme-1-t2v", "prompt": "x"}
    quote = ask(alice, **body)
    assert (quote["price_usd"], quote["hold_usd"], quote["admitted"]) == (None, None, False)
    assert quote["refusal"] == refusal_of_create(alice, body)
    assert limit(quote, "usd_per_month")["remaining_after"] is None


def test_a_retired_model_is_refused_with_its_replacement(alice: Caller) -> None:
    body = {"model": "wan2.6-t2v", "prompt": "x"}
    quote = ask(alice, **body)
    assert quote["refusal"] == refusal_of_create(alice, body)
    assert (quote["refusal"]["code"], quote["admitted"], quote["price_usd"]) == ("model_retired", False, None)
    assert "kling-v3.0-pro-t2v" in quote["refusal"]["detail"]


def test_a_test_key_pays_nothing(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    tester = alice.with_key(test=True)
    quote = ask(tester, **KLING)
    assert (quote["price_usd"], quote["hold_usd"], quote["admitted"]) == ("0.000000", "0.000000", True)
    assert {row["scope"] for row in quote["limits"]} == {"key"}
    settings.SANDBOX_BASE_URL = ""
    assert ask(tester, **KLING)["refusal"]["code"] == "no_sandbox"


@pytest.mark.parametrize("image", ["x", URL, "ftp://example.com", "!" * 100])
def test_an_image_is_any_text_that_is_not_empty(alice: Caller, image: str) -> None:
    assert ask(alice, **{**LITE, "image": image})["admitted"] is True


def test_a_form_with_a_file_is_quoted_too(alice: Caller) -> None:
    form = {"image": SimpleUploadedFile("a.png", b"no image at all"), "resolution": "480p", "duration": "10"}
    answer = alice.http.post("/v1/generations/quote", form, format="multipart")
    assert answer.status_code == 200, answer.content
    model = video_models.default()
    price = prices.price_micro(model, {"resolution": "480p", "aspect_ratio": "16:9", "duration": 10})
    assert Decimal(answer.json()["price_usd"]) == Decimal(price) / 10**6


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resolution": "480p"}, "image"),
        ({**LITE, "image": " "}, "image"),
        ({**LITE, "duration": 7}, "duration"),
        ({**KLING, "resolution": "480p"}, "resolution"),
        ({**LITE, "model": "no-such-model"}, "model"),
        ({**LITE, "webhook_url": "x"}, "webhook_url"),
    ],
    ids=["no image", "blank image", "duration", "unknown field", "unknown model", "webhook"],
)
def test_a_wrong_body_is_refused_as_in_a_create(alice: Caller, body: dict[str, Any], field: str) -> None:
    quoted = alice.http.post("/v1/generations/quote", body, format="json")
    assert (quoted.status_code, quoted.json()["errors"][0]["field"]) == (400, field)
    assert quoted.json() == alice.http.post("/v1/generations", body, format="json").json()


def test_an_idempotency_key_means_nothing_to_a_quote(alice: Caller) -> None:
    headers = {"Idempotency-Key": "order-4711"}
    for body in (LITE, KLING):
        quoted = alice.http.post("/v1/generations/quote", body, format="json", headers=headers)
        assert quoted.status_code == 200
    assert alice.http.post("/v1/generations", LITE, format="json", headers=headers).status_code == 202


def test_the_estimate_is_the_creates(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eta, "_wait_times", lambda kind: (float(kind.duration * 10),))
    assert ask(alice, **KLING)["eta"] == 30
    assert alice.http.post("/v1/generations", KLING, format="json").json()["eta"] == 30


def test_a_quote_needs_the_scope_of_a_create(alice: Caller) -> None:
    reader = alice.with_key(scopes=["generations:read"])
    answer = reader.http.post("/v1/generations/quote", LITE, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_key_that_was_just_revoked_is_refused(alice: Caller) -> None:
    ask(alice, **LITE)
    alice.key.refresh_from_db()
    type(alice.key).objects.filter(pk=alice.key.pk).update(revoked_at=alice.key.created_at)  # past the cache
    assert alice.http.post("/v1/generations/quote", LITE, format="json").status_code == 401
