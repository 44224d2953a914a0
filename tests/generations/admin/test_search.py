"""The search finds a generation by any of its names, by an index and nothing else."""

from typing import Any

import pytest

from generations.models import Generation
from tests.generations.admin.rows import LIST, SEEDS, list_ids
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation, make_image

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize("address", [LIST, SEEDS])
def test_a_generation_is_found_by_any_of_its_names(
    admin_client: Client, alice: Caller, bob: Caller, address: str
) -> None:
    g, _ = put_in(alice, "succeeded")
    Generation.objects.filter(pk=g.pk).update(external_id="order 7", seed=4711, video_sha256="cd" * 32)
    g.refresh_from_db()
    other = make_generation(bob, seed=1, image=make_image(bob.tenant, b"another"))
    assert g.image is not None
    for term in (str(g.pk), g.pk.hex, g.upstream_id, "order 7", alice.key.prefix, alice.key_text, "4711"):
        assert list_ids(admin_client, address, q=term) == {str(g.pk)}, term
    for sha256 in (g.video_sha256, g.video_sha256.upper(), g.image.sha256):
        assert list_ids(admin_client, address, q=sha256) == {str(g.pk)}
    assert list_ids(admin_client, address, q=f" {other.pk} ") == {str(other.pk)}


@pytest.mark.parametrize("term", ["nothing of it", "9" * 400, "0" * 64, "-1", "%' OR 1=1 --", "sds_live_x"])
def test_a_term_that_matches_nothing_finds_nothing(admin_client: Client, alice: Caller, term: str) -> None:
    make_generation(alice)
    assert list_ids(admin_client, q=term) == set()


def test_no_search_reads_every_row(admin_client: Client, alice: Caller, django_assert_max_num_queries: Any) -> None:
    make_generation(alice)
    with django_assert_max_num_queries(12) as captured:
        list_ids(admin_client, q="order 7")
    assert not [query for query in captured.captured_queries if " LIKE " in query["sql"] or "COUNT(" in query["sql"]]
