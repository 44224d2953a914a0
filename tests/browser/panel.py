"""Drive the panel as an operator does: open pages, click and type."""

import re
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.story.test_story import finished
from tests.support.images import base64_of
from tests.support.running import ROOT, MakeRun

GENERATIONS, SEEDS = "/admin/generations/generation/", "/admin/generations/seedrecord/"
TENANTS, MODELS = "/admin/tenants/tenant/", "/admin/generations/modelstate/"
LEDGER = "/admin/tenants/ledgerentry/"

LIGHTHOUSE = (ROOT / "deploy" / "demo" / "lighthouse.jpg").read_bytes()


class Panel:
    """A browser window of the panel."""

    def __init__(self, page: Page, service: MakeRun) -> None:
        self.page, self.service = page, service

    def log_in(self, password: str = "") -> None:
        """Log in with the printed user, and the printed password unless another is given."""
        user, printed = self.service.login()
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password or printed)
        self.page.get_by_role("button", name=re.compile("log in", re.IGNORECASE)).click()

    def search(self, address: str, term: str) -> Locator:
        """Search the list and return the rows."""
        self.page.goto(address)
        box = self.page.locator("#searchbar")
        box.fill(term)
        box.press("Enter")
        expect(self.page).to_have_url(re.compile(r"\?q="))
        return self.page.locator("#result_list tbody tr")

    def open_generation(self, generation_id: str) -> None:
        """Open a generation's page."""
        self.page.goto(f"{GENERATIONS}{generation_id}/change/")

    def run_action(self, name: str, reason: str, **values: str) -> None:
        """Perform the action by its button, with a reason and values for other fields."""
        self.page.get_by_role("link", name=name).first.click()
        for label, text in values.items():
            self.page.locator(f"[name={label}]").fill(text)
        self.page.locator("[name=reason]").fill(reason)
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()

    def create_generation(self, key: str = "", **fields: Any) -> httpx.Response:
        """Create a generation by the API and return the response. Its camera is fixed, which renders faster."""
        body = {"image": base64_of(LIGHTHOUSE), "resolution": "480p", "camera_fixed": True, **fields}
        headers = {"Authorization": f"Bearer {key or self.service.printed('API key')}"}
        return httpx.post(f"{self.service.url}/v1/generations", json=body, headers=headers, timeout=30)

    def create_finished_generation(self, **fields: Any) -> dict[str, Any]:
        """Create a generation by the API, wait until it has finished and return it."""
        response = self.create_generation(**fields)
        assert response.status_code == 202, response.text
        with self.service.http() as http:
            return finished(http, response.json()["id"])
