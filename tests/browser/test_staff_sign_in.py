"""An operator signs in by the company's login in a browser, and copies the recovery codes of a second factor."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django_otp.oath import totp
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_accessibility import SERIOUS
from tests.support.openid_provider import OpenIdProvider, company_settings
from tests.support.running import MakeRun, free_port

LINK = "Sign in with the company's login"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    running = OpenIdProvider(tmp_path_factory.mktemp("provider"))
    running.add("nora", "Leads", first_name="Nora")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider) -> Iterator[MakeRun]:
    """Start the product with the company's login and a second factor for passwords."""
    port = free_port()
    provider.register(f"http://127.0.0.1:{port}")
    run = MakeRun(tmp_path_factory.mktemp("company"), port, **company_settings(provider), STAFF_TOTP="on")
    try:
        yield run.wait_until_ready()
    finally:
        run.stop()


def open_page(browser: Browser, run: MakeRun, scheme: Any = "light") -> tuple[Page, list[str]]:
    """Open a window. Return its page, and the list of what the browser's policy forbids."""
    page = browser.new_context(base_url=run.url, color_scheme=scheme).new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    return page, refused


def test_an_operator_signs_in_and_out_by_the_companys_login(
    browser: Browser, company: MakeRun, provider: OpenIdProvider
) -> None:
    page, refused = open_page(browser, company)
    page.goto("/admin/auth/user/")
    page.get_by_role("link", name=LINK).click()
    page.locator("[name=username]").fill("nora")
    page.locator("[name=password]").fill("password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Authorize").click()
    expect(page).to_have_url(re.compile(r"/admin/auth/user/$"))
    page.get_by_text("Nora").first.click()
    page.get_by_role("button", name=re.compile("log out", re.IGNORECASE)).click()
    expect(page).to_have_url(re.compile(r"/admin/login/$"))  # by way of the provider
    page.get_by_role("link", name=LINK).click()
    expect(page.locator("[name=username]")).to_be_visible()
    assert page.url.startswith(provider.issuer)
    assert refused == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_page_has_no_serious_fault(
    browser: Browser, company: MakeRun, take_screenshot: Any, scheme: str
) -> None:
    page, refused = open_page(browser, company, scheme)
    page.goto("/admin/login/")
    expect(page.get_by_role("link", name=LINK)).to_be_visible()
    take_screenshot(page, f"login-{scheme}")
    faults = [fault for fault in Axe().run(page).response["violations"] if fault["impact"] in SERIOUS]
    assert faults == [], [node["html"] for fault in faults for node in fault["nodes"]]
    assert refused == []


def test_recovery_codes_are_shown_once_and_copied(browser: Browser, company: MakeRun, take_screenshot: Any) -> None:
    page, refused = open_page(browser, company)
    user, password = company.login()
    page.goto("/admin/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name=re.compile("log in", re.IGNORECASE)).click()
    secret = page.locator("#secret").inner_text()
    page.locator("[name=code]").fill(f"{totp(_key(secret)):06d}")
    page.get_by_role("button", name="Continue").click()
    codes = page.locator("#one-time-secret").inner_text().split()
    assert len(codes) == 10
    take_screenshot(page, "recovery-codes")
    page.get_by_role("link", name="I have copied it").click()
    expect(page).to_have_url(re.compile(r"/admin/$"))
    page.goto("/admin/recovery-codes/")
    expect(page.get_by_text("You have 10 recovery codes left")).to_be_visible()
    take_screenshot(page, "recovery-codes-form")
    assert refused == []


def _key(secret: str) -> bytes:
    """Return the bytes of an authenticator's secret."""
    return base64.b32decode(secret + "=" * (-len(secret) % 8))
