"""A model for which no account at an upstream has a key: not listed, shown by its id, and refused before any hold."""

from typing import Any

import pytest

from generations.models import Generation
from tenants.models import LedgerEntry
from tests.support.factories import Caller

FAST, MINI, KLING = "seedance-1-0-pro-fast", "seedance-2-0-mini", "kling-v3.0-std-t2v"
BODY = {"model": FAST, "prompt": "The tide comes in", "resolution": "480p"}
MESSAGE = f"The service has no upstream account for the model {FAST}: its operators have to set one up."


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.ARK_API_KEY = ""


def listed(caller: Caller) -> set[str]:
    return {model["id"] for model in caller.http.get("/v1/models").json()["models"]}


def test_a_create_is_refused_before_anything_is_held(alice: Caller, settings: Any) -> None:
    refused = alice.http.post("/v1/generations", BODY, format="json")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["detail"]) == (503, "model_not_offered", MESSAGE)
    assert not Generation.objects.exists()
    assert not LedgerEntry.objects.exists()
    settings.ARK_API_KEY = "a key"
    assert alice.http.post("/v1/generations", BODY, format="json").status_code == 202


def test_a_quote_says_so(alice: Caller) -> None:
    quote = alice.http.post("/v1/generations/quote", BODY, format="json").json()
    assert (quote["admitted"], quote["refusal"]["code"]) == (False, "model_not_offered")
    assert quote["price_usd"] is not None


def test_a_rerun_is_refused(alice: Caller, settings: Any) -> None:
    settings.ARK_API_KEY = "a key"
    source = alice.http.post("/v1/generations", BODY, format="json").json()["id"]
    settings.ARK_API_KEY = ""
    rerun = alice.http.post(f"/v1/generations/{source}/rerun", {}, format="json")
    assert (rerun.status_code, rerun.json()["code"]) == (503, "model_not_offered")


def test_the_list_has_the_models_of_configured_accounts_alone(alice: Caller, settings: Any) -> None:
    assert FAST not in listed(alice)
    assert listed(alice) >= {MINI, KLING}  # Novita offers them too
    assert alice.http.get(f"/v1/models/{FAST}").json()["state"] == "active"
    settings.ARK_API_KEY = "a key"
    assert FAST in listed(alice)
    settings.NOVITA_API_KEY = ""
    assert KLING not in listed(alice)
    assert MINI in listed(alice)


def test_on_novitas_wire_it_is_a_failed_create(alice: Caller, settings: Any) -> None:
    settings.NOVITA_API_KEY = ""
    refused = alice.http.post(f"/v3/async/{KLING}", {"prompt": "The tide comes in"}, format="json")
    assert (refused.status_code, refused.json()["reason"]) == (503, "CREATE_TASK_FAILED")
    assert not Generation.objects.exists()


def test_a_test_key_has_the_sandbox(alice: Caller, settings: Any) -> None:
    settings.NOVITA_API_KEY, settings.SANDBOX_BASE_URL = "", "http://127.0.0.1:1"
    tester = alice.with_key(test=True)
    assert FAST in listed(tester)
    assert tester.http.post("/v1/generations", BODY, format="json").status_code == 202
