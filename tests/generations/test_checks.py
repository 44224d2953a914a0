"""System checks of the settings of generations."""

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from generations.apps import check_settings
from tests.conftest import CATALOG_DIR


def test_complete_settings_have_no_message() -> None:
    assert check_settings() == []


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("S3_BUCKET", "", "generations.W001"),
        ("NOVITA_API_KEY", "", "generations.W002"),
        ("NOVITA_BASE_URL", "api.novita.ai", "generations.E001"),
    ],
)
def test_a_missing_or_wrong_setting_has_a_message(settings: Any, name: str, value: str, check_id: str) -> None:
    setattr(settings, name, value)
    assert [message.id for message in check_settings()] == [check_id]


def test_a_key_of_ark_without_its_address_has_a_message(settings: Any) -> None:
    settings.ARK_BASE_URL = ""
    assert check_settings() == []
    settings.ARK_API_KEY = "the-key-of-ark"
    assert [message.id for message in check_settings()] == ["generations.E004"]


@pytest.mark.parametrize("name", ["S3_ENDPOINT_URL", "S3_PUBLIC_URL"])
def test_a_buckets_name_before_an_ip_address_has_a_message(settings: Any, name: str) -> None:
    setattr(settings, name, "http://127.0.0.1:9000")
    assert check_settings() == []
    settings.S3_ADDRESSING = "virtual"
    [message] = check_settings()
    assert (message.id, message.msg.startswith(name)) == ("generations.W005", True)
    setattr(settings, name, "http://store.internal:9000")
    assert check_settings() == []


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.1:9000", "127.0.0.0/8"])
def test_a_host_of_the_service_that_callers_can_reach_has_a_message(settings: Any, entry: str) -> None:
    settings.NOVITA_BASE_URL, settings.ARK_BASE_URL = "https://api.novita.ai", "https://ark.example.com/api/v3"
    settings.S3_ENDPOINT_URL, settings.SANDBOX_BASE_URL = "http://127.0.0.1:9000", "http://127.0.0.2:8001"
    settings.FETCH_ALLOW_HOSTS = [entry]
    messages = check_settings()
    assert {message.id for message in messages} == {"generations.W004"}
    assert len(messages) == (2 if "/" in entry else 1)
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1:9001", "media.internal", "10.0.0.0/8"]
    assert check_settings() == []


def test_an_offer_of_an_unknown_account_stops_the_start(settings: Any, tmp_path: Path) -> None:
    row = (CATALOG_DIR / "acme-tokens-1-t2v.toml").read_text()
    route = 'route = "/v3/async/acme-tokens-1-t2v"'
    offers = '[[offers]]\naccount = "{}"\nroute = "/v3/async/acme-tokens-1-t2v"\nwire = "{}"\n'
    head, tail = row.replace(route, "").split("[[fields]]", 1)
    both = offers.format("telegram", "novita-async") + offers.format("novita", "telex")
    (tmp_path / "acme.toml").write_text(f"{head}{both}\n[[fields]]{tail}")
    settings.CATALOG_DIR = str(tmp_path)
    with pytest.raises(ImproperlyConfigured) as caught:
        apps.get_app_config("generations").ready()
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        "acme-tokens-1-t2v: offers[0].account: telegram is not reached over novita-async; see novita"
    )
    assert second.startswith("acme-tokens-1-t2v: offers[1].wire: there is no wire telex; one of ")


def test_a_private_sandbox_needs_no_entry(settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://sandbox.internal:8001"
    assert check_settings() == []
