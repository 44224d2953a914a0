"""The panel is operated by the keyboard alone: a list and its filters, an action, and the log out."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.panel import GENERATIONS, Panel

MAX_TABS = 80  # to any element of a page
MAX_NAME_CHARS = 60  # of what an element says, with its icon


def tab_to(page: Page, text: str) -> None:
    """Press Tab until an element with this text has the focus. Fail after MAX_TABS."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.innerText || document.activeElement.name || ''")
        if text in focused.splitlines() and len(focused) < MAX_NAME_CHARS:  # not the region that scrolls around it
            return
    raise AssertionError(f"{text} is not reached.")


def test_a_link_skips_the_sidebar(panel: Panel) -> None:
    panel.page.goto(GENERATIONS)
    panel.page.keyboard.press("Tab")
    expect(panel.page.locator(".panel-skip")).to_be_focused()
    panel.page.keyboard.press("Enter")
    expect(panel.page.locator("#content")).to_be_focused()
    for role in ("main", "banner", "navigation"):
        expect(panel.page.get_by_role(role).first).to_be_visible()  # type: ignore[arg-type]


def test_filters_are_opened_and_chosen_by_the_keyboard(panel: Panel) -> None:
    page = panel.page
    page.goto(GENERATIONS)
    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    tab_to(page, "Stalled")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("attention=stalled"))


def test_an_action_is_performed_by_the_keyboard(panel: Panel) -> None:
    page, created = panel.page, panel.create_finished_generation(prompt="by keyboard")
    panel.open_generation(created["id"])
    tab_to(page, "Delete files")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(page, "reason")
    page.keyboard.type("by keyboard")
    tab_to(page, "Delete files")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_text("files deleted").first).to_be_visible()


def test_one_logs_out_by_the_keyboard(open_window: Any, logged_in: Any, service: Any) -> None:
    panel = open_window()
    panel.log_in()  # a session of its own: logging out ends it
    page = panel.page
    expect(page.locator("#dashboard")).to_be_visible()
    tab_to(page, "admin")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Shift+Tab")  # the menu opens above the name
    page.keyboard.press("Enter")
    expect(page.get_by_text("logged out", exact=False).first).to_be_visible()
