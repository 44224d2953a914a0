"""Fixtures: a headless Chromium, the whole running product, and a folder for screenshots."""

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
expect.set_options(timeout=15_000)  # milliseconds; enough for a busy machine


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    """Start the whole product in a folder of its own, and stop it at the end."""
    run = MakeRun(tmp_path_factory.mktemp("var"), free_port(), SIGNED_URL_TTL="3600")
    try:
        yield run.wait_until_ready()
    finally:
        run.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start a headless Chromium."""
    chromium = find_program("chromium", "chromium-browser", package="chromium")
    with sync_playwright() as playwright:
        # CI runs as root, where Chromium has no sandbox; all pages are ours.
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def logged_in(service: MakeRun, browser: Browser) -> Any:
    """Return the browser state of one login, which all tests share: cookies and local storage."""
    context = browser.new_context(base_url=service.url)
    page = context.new_page()
    Panel(page, service).log_in()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def video(service: Any, browser: Any) -> dict[str, Any]:
    """Create a generation that succeeded, with a seed of its own."""
    panel = Panel(browser.new_page(), service)
    return panel.create_finished_generation(
        seed=20261125, prompt="A lighthouse at dusk", external_id="order-7", metadata={"team": "web"}
    )


@pytest.fixture
def open_window(service: MakeRun, browser: Browser) -> Iterator[Any]:
    """Return a function that opens a window. At the end, no window may have had an error or run a foreign script."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(**options: Any) -> Panel:
        context = browser.new_context(base_url=service.url, **{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.extend(_console_errors(message)))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
        return Panel(page, service)

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def panel(open_window: Any, logged_in: Any) -> Panel:
    """Open a window in which an operator is logged in."""
    window: Panel = open_window(storage_state=logged_in)
    return window


@pytest.fixture
def take_screenshot(request: pytest.FixtureRequest) -> Any:
    """Return a function that saves a screenshot of the whole page as a build artefact."""

    def save(page: Page, name: str) -> None:
        assert re.fullmatch(r"[a-z-]+", name)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.wait_for_load_state()
        before = page.viewport_size
        assert before is not None
        # As high as the page: bars that stick to the bottom of the window cover nothing.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": before["width"], "height": max(height, before["height"])})
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        page.set_viewport_size(before)

    return save


def _console_errors(message: ConsoleMessage) -> list[str]:
    """Return the error in a console message, if any, except two that are no fault of the pages.

    unfold 0.91 asks for a font weight that it does not ship. Chromium asks once for a favicon, and there is none.
    """
    place = str(message.location)
    if message.type != "error" or "Inter-" in place or "/favicon.ico" in place:
        return []
    return [f"{message.text} at {message.location}"]
