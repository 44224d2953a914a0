"""The Django app of generations, and the system checks of its settings."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import price_lists, prices, video_models
from generations.catalog.model_file import CatalogError
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused
from tenants import signals
from tenants.known_models import known_models


class GenerationsConfig(AppConfig):
    """The configuration of the app of generations."""

    name = "generations"

    def ready(self) -> None:
        """Register the system checks, the models' ids, and what follows from an operator's action on a tenant."""
        # These import models, which are loaded by now.
        from generations.ops import submit_pauses  # noqa: PLC0415
        from generations.reports import costs  # noqa: PLC0415
        from generations.upstream import accounts  # noqa: PLC0415

        video_models.models()  # a mistake in a file stops the start
        if mistakes := list(accounts.find_mistakes()):
            raise CatalogError("\n".join(mistakes))
        checks.register(check_settings)
        known_models.register(video_models.models)
        signals.suspension_ended.connect(submit_pauses.release_tenant)
        signals.queue_cancelled.connect(submit_pauses.cancel_queue)
        signals.holds_listed.connect(costs.held_by_tenant)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Return a message for each setting that is missing or wrong.

    A missing setting is only a warning, because the commands `migrate` and `tenant` work without it.
    """
    messages: list[checks.CheckMessage] = []
    if not settings.S3_BUCKET:
        messages.append(
            checks.Warning("S3_BUCKET is not set: no image and no video can be stored.", id="generations.W001")
        )
    messages += [
        checks.Warning(f"{name} is an IP address, which no bucket's name can stand before.", id="generations.W005")
        for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_URL")
        if settings.S3_ADDRESSING == "virtual" and _has_ip_address(getattr(settings, name, ""))
    ]
    messages += _check_accounts()
    if settings.SANDBOX_BASE_URL:
        messages += _check_sandbox()
    messages += _check_what_callers_reach()
    try:
        price_lists.read(settings.PRICES, settings.CATALOG_DIR)
    except ImproperlyConfigured as error:
        return [*messages, checks.Error(str(error), id="generations.E003")]
    return [*messages, *_check_prices()]


def _check_accounts() -> list[checks.CheckMessage]:
    """Return a message for each upstream account whose URL is malformed, and one if no account has a key."""
    from generations.upstream import accounts  # noqa: PLC0415  # it imports models, which are not loaded at first

    keys = {
        account.key_setting: account
        for account in accounts.load()
        if accounts.is_live(account.name) and account.key_setting
    }
    messages: list[checks.CheckMessage] = []
    if not _is_http(settings.NOVITA_BASE_URL):
        messages.append(checks.Error("NOVITA_BASE_URL must be an http or https URL.", id="generations.E001"))
    messages += [
        checks.Error(f"{key} is set, so {account.url_setting} must be an http or https URL.", id="generations.E004")
        for key, account in keys.items()
        if account.api_key and account.url_setting != "NOVITA_BASE_URL" and not _is_http(account.base_url)
    ]
    if not any(account.api_key for account in keys.values()):
        sentence = f"No upstream account has a key: nothing is submitted until {' or '.join(sorted(keys))} is set."
        messages.append(checks.Warning(sentence, id="generations.W002"))
    return messages


def _check_prices() -> list[checks.CheckMessage]:
    """Return a message for each model whose requests are all refused, since none of them has a price."""
    return [
        checks.Warning(
            f"{model} has no price: creates are refused. Its file needs rates, and for rates per token also pixels and "
            "fps; or PRICES needs an entry.",
            id="generations.W006",
        )
        for model in video_models.models().values()
        if model.row.state != "retired" and prices.is_unknown(model)
    ]


def _is_http(url: str) -> bool:
    """Return whether the text begins as an http or https URL."""
    return url.startswith(("http://", "https://"))


def _has_ip_address(url: str) -> bool:
    """Return whether the URL's host is an IP address."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True


def _check_sandbox() -> list[checks.CheckMessage]:
    """Return a message if the sandbox's URL is malformed, or if videos cannot be fetched from there."""
    if not _is_http(settings.SANDBOX_BASE_URL):
        return [checks.Error("SANDBOX_BASE_URL must be an http or https URL.", id="generations.E002")]
    try:
        addresses.check_url(settings.SANDBOX_BASE_URL, addresses.for_videos())
    except FetchRefused as error:
        return [checks.Warning(f"The sandbox's videos cannot be fetched: {error}.", id="generations.W003")]
    return []


def _check_what_callers_reach() -> list[checks.CheckMessage]:
    """Return a message for each of the service's own hosts that URLs of callers may lead to."""
    return [
        checks.Warning(
            f"FETCH_ALLOW_HOSTS lets URLs of callers lead to the host of {name}. The service itself needs no entry.",
            id="generations.W004",
        )
        for name in addresses.OWN_URLS
        if addresses.is_open_to_callers(getattr(settings, name, ""))
    ]
