"""An operator's evening: a tenant runs away, is stopped, its queue is cancelled, and it is let on again.

Two operators work in two browsers at the same time. The upstream's own list of tasks says what was paid for.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.browser.panel import TENANTS, Panel
from tests.support.images import base64_of, image_bytes
from tests.support.running import MakeRun

CREATES_A_SECOND = 50


class Runaway:
    """A tenant that creates generations as fast as it can, at most CREATES_A_SECOND."""

    def __init__(self, service: MakeRun, key: str) -> None:
        # A fixed camera is rendered in a quarter of the time.
        self._body = {"image": base64_of(image_bytes()), "resolution": "480p", "camera_fixed": True}
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=service.url, headers=headers, timeout=60)
        self.answers: Counter[int] = Counter()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Runaway":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()
        self._http.close()

    def _run(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            while not self._ends.wait(1 / CREATES_A_SECOND):
                pool.submit(self._create)

    def _create(self) -> None:
        self.answers[self._http.post("/v1/generations", json=self._body).status_code] += 1


# The attempts of the tenant that were recorded after its suspension and sent, and all that were created.
ATTEMPTS = """
from django.db.models import Q
from generations.models import Attempt
from tenants.models import Tenant
tenant = Tenant.objects.get(name="endless loop")
own = Attempt.objects.filter(generation__tenant=tenant)
late = own.filter(started_at__gt=tenant.suspended_at).exclude(outcome="not_sent")
print(late.count(), own.filter(finished_at=None).count(), own.filter(outcome="created").count())
"""


def attempts(service: MakeRun) -> tuple[int, int, int]:
    """Return how many attempts began after the suspension, how many are under way, and how many created a task."""
    done = service.manage("shell", "--no-imports", "-c", ATTEMPTS)
    assert done.returncode == 0, done.stderr
    late, open_, created = done.stdout.split()
    return int(late), int(open_), int(created)


def test_a_runaway_tenant_is_stopped_its_queue_cancelled_and_it_is_let_on_again(
    service: MakeRun, open_window: Any, logged_in: Any, take_screenshot: Any
) -> None:
    olga, piet = (open_window(storage_state=logged_in) for _ in range(2))
    key = add_tenant(olga, "endless loop")
    tenant_page, paid_before = olga.page.url, len(service.submits())
    with Runaway(service, key) as runaway:
        piet.page.goto("/admin/")
        wait_until(lambda: runaway.answers[202] >= 100)
        suspend(olga, "it creates without end")
        wait_until(lambda: attempts(service)[1] == 0)
        paid = len(service.submits())
        expect(piet.page.locator("#dashboard")).to_be_visible()  # the other window goes on
        wait_until(lambda: runaway.answers[403] >= 20)
    late, _, created = attempts(service)
    assert late == 0
    assert len(service.submits()) == paid
    assert created == paid - paid_before
    piet.page.goto(f"/admin/generations/generation/?status__exact=queued&tenant__id__exact={number_of(tenant_page)}")
    take_screenshot(piet.page, "runaway-queue")
    piet.page.get_by_role("link", name="Cancel matching").first.click()
    expect(piet.page.get_by_text("queued generations match")).to_be_visible()
    piet.page.locator("[name=reason]").fill("agreed with the tenant")
    piet.page.get_by_role("button", name="Cancel matching").click()
    expect(piet.page.get_by_text("queued generations were cancelled, and their holds released")).to_be_visible()
    assert service.manage("ledger", "check").returncode == 0
    assert len(service.submits()) == paid
    olga.page.goto(tenant_page)
    olga.run_action("Resume", "it has mended its loop")
    assert olga.create_generation(key).status_code == 202
    wait_until(lambda: len(service.submits()) > paid)
    # What was paid for is delivered. The sandbox renders it in turn, and the tests that follow would wait behind it.
    wait_until(lambda: count_live(service, key) == 0, within=300)


def add_tenant(panel: Panel, name: str) -> str:
    """Add a tenant with a key in the panel, and return the key. Its page is open afterwards."""
    panel.page.goto(f"{TENANTS}add/")
    panel.page.locator("[name=name]").fill(name)
    panel.page.locator("[name=reason]").fill("a new team")
    panel.page.get_by_role("button", name="Save", exact=True).click()
    panel.run_action("Create key", "their first")
    key = panel.page.locator("#one-time-secret").inner_text()
    panel.page.get_by_role("link", name="I have copied it").click()
    return str(key)


def suspend(panel: Panel, reason: str) -> None:
    """Suspend the tenant whose page is open."""
    panel.run_action("Suspend", reason)


def number_of(tenant_page: str) -> str:
    """Return the number of the tenant whose page has this address."""
    return tenant_page.split("/tenant/")[1].split("/")[0]


def count_live(service: MakeRun, key: str) -> int:
    """Return how many generations of the key's tenant are between their creation and their end."""
    live = ("queued", "submitting", "running", "copying")
    headers = {"Authorization": f"Bearer {key}"}
    pages = [httpx.get(f"{service.url}/v1/generations?status={status}", headers=headers).json() for status in live]
    return sum(len(page["generations"]) for page in pages)


def wait_until(condition: Any, within: float = 60) -> None:
    """Wait until the condition holds, for `within` seconds at most."""
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)
