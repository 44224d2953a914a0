"""A headless Chromium before the whole running product, and a folder for what it saw."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.panel import Panel
from tests.support.programs import find_program
from tests.support.running import ROOT, MakeRun, free_port

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "var" / "screenshots"))
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
expect.set_options(timeout=15_000)  # milliseconds; a busy machine is no failure


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    run = MakeRun(tmp_path_factory.mktemp("var"), free_port(), SIGNED_URL_TTL="3600")
    try:
        yield run.wait_until_ready()
    finally:
        run.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = find_program("chromium", "chromium-browser", package="chromium")
    with sync_playwright() as playwright:
        # As root, as CI is, Chromium has no sandbox; what it loads is ours.
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def logged_in(service: MakeRun, browser: Browser) -> Any:
    """The session of one login, for all that need one: its cookies and what the panel keeps in the browser."""
    context = browser.new_context(base_url=service.url)
    page = context.new_page()
    Panel(page, service).log_in()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def opened(service: MakeRun, browser: Browser) -> Iterator[Any]:
    """Opens a window; at the end, nothing may have gone wrong in any: no error in a console, no script that ran."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_page(**options: Any) -> Panel:
        context = browser.new_context(base_url=service.url, **{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.extend(_trouble(message)))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
        return Panel(page, service)

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def panel(opened: Any, logged_in: Any) -> Panel:
    """Somebody of ops, logged in."""
    found: Panel = opened(storage_state=logged_in)
    return found


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Any:
    """Keeps a screenshot of the whole page as a build artefact."""

    def screenshot(page: Page, name: str) -> None:
        assert re.fullmatch(r"[a-z-]+", name)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return screenshot


def _trouble(message: ConsoleMessage) -> list[str]:
    """What is wrong in a console's line. unfold 0.91 names a weight of its font that it does not ship."""
    if message.type != "error" or "Inter-" in str(message.location):
        return []
    return [f"{message.text} at {message.location}"]
