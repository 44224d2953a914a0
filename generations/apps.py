from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks


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
    return found
