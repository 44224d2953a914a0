from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import prices
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused


class GenerationsConfig(AppConfig):
    name = "generations"

    def ready(self) -> None:
        checks.register(check_settings)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """What is missing for the main job. Warnings, since migrate and tenant do without."""
    found: list[checks.CheckMessage] = []
    if not settings.S3_BUCKET:
        found.append(
            checks.Warning("S3_BUCKET is not set: no image and no video can be stored.", id="generations.W001")
        )
    if not settings.NOVITA_API_KEY:
        found.append(checks.Warning("NOVITA_API_KEY is not set: the upstream will refuse.", id="generations.W002"))
    if not settings.NOVITA_BASE_URL.startswith(("http://", "https://")):
        found.append(checks.Error("NOVITA_BASE_URL takes an http or https URL.", id="generations.E001"))
    if settings.SANDBOX_BASE_URL:
        found += _check_sandbox()
    try:
        prices.read_table(settings.PRICES)
    except ImproperlyConfigured as error:
        found.append(checks.Error(str(error), id="generations.E003"))
    return found


def _check_sandbox() -> list[checks.CheckMessage]:
    if not settings.SANDBOX_BASE_URL.startswith(("http://", "https://")):
        return [checks.Error("SANDBOX_BASE_URL takes an http or https URL.", id="generations.E002")]
    try:
        addresses.check_url(settings.SANDBOX_BASE_URL)
    except FetchRefused as error:
        sentence = f"The sandbox's videos can not be fetched: {error}. Name its host:port in FETCH_ALLOW_HOSTS."
        return [checks.Warning(sentence, id="generations.W003")]
    return []
