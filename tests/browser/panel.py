"""The panel as ops people use it: what they see, click and type."""

import re
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.story.test_story import finished
from tests.support.images import base64_of
from tests.support.running import ROOT, MakeRun

GENERATIONS, SEEDS = "/admin/generations/generation/", "/admin/generations/seedrecord/"
TENANTS = "/admin/tenants/tenant/"

LIGHTHOUSE = (ROOT / "deploy" / "demo" / "lighthouse.jpg").read_bytes()


class Panel:
    def __init__(self, page: Page, service: MakeRun) -> None:
        self.page, self.service = page, service

    def log_in(self, password: str = "") -> None:
        user, known = self.service.login()
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password or known)
        self.page.get_by_role("button", name=re.compile("log in", re.IGNORECASE)).click()

    def search(self, address: str, term: str) -> Locator:
        """The rows that are found."""
        self.page.goto(address)
        box = self.page.locator("#searchbar")
        box.fill(term)
        box.press("Enter")
        expect(self.page).to_have_url(re.compile(r"\?q="))
        return self.page.locator("#result_list tbody tr")

    def open_generation(self, generation_id: str) -> None:
        self.page.goto(f"{GENERATIONS}{generation_id}/change/")

    def run_action(self, name: str, reason: str, **typed: str) -> None:
        """By its button, with a reason, confirmed."""
        self.page.get_by_role("link", name=name).first.click()
        for label, text in typed.items():
            self.page.locator(f"[name={label}]").fill(text)
        self.page.locator("[name=reason]").fill(reason)
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()

    def make(self, key: str = "", **wanted: Any) -> httpx.Response:
        """As another service asks for a video."""
        body = {"image": base64_of(LIGHTHOUSE), "resolution": "480p", **wanted}
        headers = {"Authorization": f"Bearer {key or self.service.printed('API key')}"}
        return httpx.post(f"{self.service.url}/v1/generations", json=body, headers=headers, timeout=30)

    def made(self, **wanted: Any) -> dict[str, Any]:
        """One that has ended."""
        answer = self.make(**wanted)
        assert answer.status_code == 202, answer.text
        with self.service.http() as http:
            return finished(http, answer.json()["id"])
