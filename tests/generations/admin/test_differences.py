"""The panel shows videos that are not as requested: on the dashboard, in the list and on the generation's page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.lifecycle import Difference
from generations.models import Generation
from tests.generations.admin.rows import list_ids, page_url
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.panel import log_in_staff

pytestmark = pytest.mark.one_database

WIDTH = Difference(field="width", requested=864, received=320)


def make(caller: Caller, *, delivered: bool) -> Generation:
    """Return a generation whose video differs in its width."""
    g, _ = put_in(caller, "copying")
    assert (lifecycle.mark_succeeded if delivered else lifecycle.mark_mismatched)(g, VIDEO, [WIDTH])
    return g


def test_the_list_is_filtered_to_videos_that_are_not_as_requested(admin_client: Client, alice: Caller) -> None:
    put_in(alice, "succeeded")
    put_in(alice, "running")
    different, refused = make(alice, delivered=True), make(alice, delivered=False)
    assert list_ids(admin_client, attention="differs") == {str(different.pk), str(refused.pk)}


def test_the_dashboard_counts_those_of_the_last_day(admin_client: Client, alice: Caller) -> None:
    put_in(alice, "succeeded")
    make(alice, delivered=True)
    old = make(alice, delivered=False)
    Generation.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(hours=25))
    [tile] = [tile for tile in admin_client.get("/admin/").context["tiles"] if tile.name == "Not as requested"]
    assert (tile.figure, tile.level) == (1, "warn")
    assert "attention=differs" in tile.url


@pytest.mark.parametrize("delivered", [True, False])
def test_the_page_shows_the_file_and_what_differs(admin_client: Client, alice: Caller, delivered: bool) -> None:
    g = make(alice, delivered=delivered)
    text = admin_client.get(page_url(g)).content.decode()
    assert "<td>width</td><td>864</td><td>320</td>" in text
    assert page_url(g, "video") in text
    assert ("was never delivered" in text) == (not delivered)
    assert admin_client.get(page_url(g, "video")).status_code == 302
    assert log_in_staff().get(page_url(g, "video")).status_code == 404


def test_the_file_of_a_mismatch_is_gone_from_the_page_when_it_is_pruned(admin_client: Client, alice: Caller) -> None:
    g = make(alice, delivered=False)
    lifecycle.forget_mismatched_files([g])
    assert "<video" not in admin_client.get(page_url(g)).content.decode()
    assert admin_client.get(page_url(g, "video")).status_code == 404
