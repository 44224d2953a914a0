"""GET /v1/generations: pages, cursors and filters."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.core.signing import Signer
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations.api import generation_list, generation_queries, render
from generations.models import Generation
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.usefixtures("bucket")
PATH = "/v1/generations"


def list_ids(caller: Caller, **query: Any) -> list[str]:
    answer = caller.http.get("/v1/generations", query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["generations"]]


def ids(*generations: Generation) -> list[str]:
    return [str(g.pk) for g in generations]


def test_pages_follow_each_other_without_a_gap_while_new_ones_come(alice: Caller) -> None:
    mine = [make_generation(alice) for _ in range(7)]
    pages, query = [], {"limit": "3"}
    while True:
        body = alice.http.get("/v1/generations", query).json()
        pages.append([row["id"] for row in body["generations"]])
        make_generation(alice)
        if body["next_cursor"] is None:
            break
        query["cursor"] = body["next_cursor"]
    newest = ids(*reversed(mine))
    assert pages == [newest[:3], newest[3:6], newest[6:]]


def test_the_link_to_the_next_page_keeps_the_filters(alice: Caller) -> None:
    first, second = make_generation(alice, external_id="a b&c"), make_generation(alice, external_id="a b&c")
    make_generation(alice)
    answer = alice.http.get("/v1/generations", {"limit": 1, "external_id": "a b&c"})
    assert [row["id"] for row in answer.json()["generations"]] == ids(second)
    link, _, rel = answer["Link"].partition("; ")
    assert rel == 'rel="next"'
    following = alice.http.get(link.strip("<>"))
    assert [row["id"] for row in following.json()["generations"]] == ids(first)
    assert "Link" not in following


def test_a_cursor_is_valid_for_its_own_tenant_mode_and_list_alone(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:1"
    for _ in range(2):
        make_generation(alice)
    cursor = alice.http.get("/v1/generations", {"limit": 1}).json()["next_cursor"]
    for stranger in (bob, alice.with_key(test=True)):
        answer = stranger.http.get("/v1/generations", {"cursor": cursor})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")
    for wrong in ("x", cursor[:-1] + "-", cursor.partition(".")[0], "%00", "ü"):
        assert alice.http.get("/v1/generations", {"cursor": wrong}).status_code == 400


def test_each_filter_finds_its_generations(alice: Caller) -> None:
    other = alice.with_key()
    plain = make_generation(alice, seed=1)
    failed, _ = put_in(alice, "failed")
    named = make_generation(other, seed=3, external_id="order-4711")
    marked = make_generation(alice, seed=4, metadata={"order": "4711", "team": "web"})
    alike = make_generation(alice, seed=5, metadata={"order": "4712"})
    everything = ids(alike, marked, named, failed, plain)
    assert list_ids(alice) == list_ids(alice, model="seedance-v1-lite-i2v") == everything
    assert list_ids(alice, status="failed") == ids(failed)
    assert list_ids(alice, seed=3) == list_ids(alice, external_id="order-4711") == list_ids(alice, key=other.key.prefix)
    assert list_ids(alice, seed=3) == ids(named)
    assert list_ids(alice, **{"metadata[order]": "4711"}) == ids(marked)
    assert list_ids(alice, metadata_key="order") == ids(alike, marked)
    assert list_ids(alice, **{"metadata[order]": "4711", "metadata[team]": "app"}) == []
    assert list_ids(alice, **{"metadata[order]": "4711", "metadata[team]": "web", "status": "queued"}) == ids(marked)
    assert list_ids(alice, external_id="order") == list_ids(alice, metadata_key="ord") == []


def test_metadata_is_filtered_by_in_the_form_that_generated_clients_send(alice: Caller) -> None:
    """Generated clients send an array of texts, each NAME=VALUE; a value may hold another `=`."""
    marked = make_generation(alice, metadata={"order": "4711", "team": "a=b"})
    alike = make_generation(alice, metadata={"order": "4711"})
    assert list_ids(alice, metadata="order=4711") == ids(alike, marked)
    assert list_ids(alice, metadata=["order=4711", "team=a=b"]) == ids(marked)
    assert list_ids(alice, **{"metadata": "team=a=b", "metadata[order]": "4711"}) == ids(marked)
    assert list_ids(alice, metadata=["order=4711", "order=4711"]) == ids(alike, marked)
    assert list_ids(alice, metadata=["order=4711", "order=4712"]) == list_ids(alice, metadata="team=") == []


def test_the_link_to_the_next_page_keeps_each_metadata_filter(alice: Caller) -> None:
    first, second = (make_generation(alice, metadata={"order": "4711", "team": "web"}) for _ in range(2))
    make_generation(alice, metadata={"order": "4711", "team": "app"})
    answer = alice.http.get("/v1/generations", {"limit": 1, "metadata": ["order=4711", "team=web"]})
    assert [row["id"] for row in answer.json()["generations"]] == ids(second)
    following = alice.http.get(answer["Link"].partition("; ")[0].strip("<>"))
    assert [row["id"] for row in following.json()["generations"]] == ids(first)


def test_a_stretch_of_time_holds_its_first_instant_and_not_its_last(alice: Caller) -> None:
    start = timezone.now() - timedelta(days=3)
    microsecond = timedelta(microseconds=1)
    mine = [make_generation(alice, created_at=start + n * microsecond) for n in range(4)]
    after, before = (start + microsecond).isoformat(), (start + 3 * microsecond).isoformat()
    assert list_ids(alice, created_after=after, created_before=before) == ids(mine[2], mine[1])
    assert list_ids(alice, created_after=before) == ids(mine[3])
    assert list_ids(alice, created_before=after) == ids(mine[0])


def test_another_tenants_key_and_labels_find_nothing(alice: Caller, bob: Caller) -> None:
    make_generation(bob, external_id="x", metadata={"order": "1"})
    for query in ({"key": bob.key.prefix}, {"external_id": "x"}, {"metadata[order]": "1"}, {"metadata_key": "order"}):
        assert list_ids(alice, **query) == []


def test_a_model_that_the_catalogue_has_not_is_a_filter_too(alice: Caller) -> None:
    """Generations stay in the list after their model has left the catalogue."""
    make_generation(alice)
    former = make_generation(alice)
    Generation.objects.filter(pk=former.pk).update(model="a-former-model")
    assert list_ids(alice, model="a-former-model") == ids(former)
    assert list_ids(alice, model="another-model") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=queued&status=failed", "status"),
        ("stauts=queued", "stauts"),
        ("model=" + "x" * 51, "model"),
        ("model=%00", "model"),
        ("seed=1_0", "seed"),
        ("seed=-1", "seed"),
        ("seed=99999999999999999999", "seed"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=", "limit"),
        ("created_after=yesterday", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B23:00", "created_after"),
        ("external_id=%00", "external_id"),
        ("external_id=" + "x" * 256, "external_id"),
        ("key=%00", "key"),
        ("metadata_key=%00", "metadata_key"),
        ("metadata[a]=%00", "metadata"),
        ("metadata[%00]=a", "metadata"),
        ("metadata[]=a", "metadata[]"),
        ("metadata[a]=1&metadata[a]=2", "metadata[a]"),
        ("metadata=a", "metadata"),
        ("metadata=", "metadata"),
        ("metadata==1", "metadata"),
        ("metadata=a=%00", "metadata"),
        ("metadata=a=" + "x" * 513, "metadata"),
        ("metadata[a]=x&" + "&".join(f"metadata=a{number}=x" for number in range(16)), "metadata"),
        ("metadata[a]=" + "x" * 513, "metadata"),
        ("&".join(f"metadata[a{number}]=x" for number in range(17)), "metadata"),
        ("created_after=2026-W45-1", "created_after"),
        ("created_before=9999-12-31T23:59:59-14:00", "created_before"),
        ("cursor=%00", "cursor"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(alice: Caller, query: str, field: str) -> None:
    answer = alice.http.get(f"/v1/generations?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert field in answer.json()["errors"][0]["field"]


INDEXES = {
    "": "generation_by_tenant",
    "status=failed": "generation_by_status",
    "seed=7": "generation_by_seed",
    "key=sds_live_000000000000": "generation_by_key",
    "external_id=order-4711": "generation_by_external_id",
    "created_after=2026-11-01T00:00:00Z": "generation_by_tenant",
    "metadata[order]=4711": "label_by_name",  # of no rows, PostgreSQL takes one or the other
    "metadata_key=order": "label_by_name",
}


@pytest.mark.parametrize("query", INDEXES)
def test_each_filter_has_an_index_in_the_lists_order(alice: Caller, query: str) -> None:
    """No page, however deep, sorts or skips rows. `make bench` measures pages over a million rows."""
    if connection.vendor == "postgresql":
        _make_many(alice)
    plan = _plan(alice, query)
    assert INDEXES[query] in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def _make_many(caller: Caller) -> None:
    """Create enough rows for the planner to choose an index: for an empty table any index is as good."""
    source = make_generation(caller)
    values = {
        field.name: getattr(source, field.name) for field in Generation._meta.concrete_fields if field.name != "id"
    }
    Generation.objects.bulk_create(
        Generation(**{**values, "seed": number, "external_id": f"job-{number}", "api_key": None})
        for number in range(1000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generations_generation")


def _plan(caller: Caller, query: str) -> str:
    with connection.cursor() as cursor:
        for wrong in ("seqscan", "bitmapscan", "sort") if connection.vendor == "postgresql" else ():
            cursor.execute(f"SET LOCAL enable_{wrong} = off")  # what its cost model would take for a few rows
    return str(generation_queries.build(*_conditions(caller, query), rows=51).explain())


def _conditions(caller: Caller, query: str) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Return the values and labels that a query string asks for."""
    filters = generation_list.Filters(data=QueryDict(query))
    filters.is_valid(raise_exception=True)
    return generation_list.conditions(caller.key, filters.validated_data)


EVERY_FILTER = "status=queued&model=seedance-v1-lite-i2v&seed=7&key={key}&external_id=it's&created_after=2026-01-01"
EVERY_FILTER += "T00:00:00Z&created_before=2099-01-01T00:00:00Z&metadata[a]=1&metadata[b]=x%25s&metadata_key=c"


@pytest.mark.parametrize("left_out", range(len(EVERY_FILTER.split("&")) + 1))
@pytest.mark.parametrize("has_position", [False, True])
def test_a_prepared_query_finds_what_the_orm_finds(alice: Caller, left_out: int, has_position: bool) -> None:
    facts: dict[str, Any] = {"seed": 7, "external_id": "it's", "metadata": {"a": "1", "b": "x%s", "c": ""}}
    rows = [make_generation(alice, **facts) for _ in range(4)]
    make_generation(alice.with_key(), seed=8, external_id="", metadata={"a": "2"})
    parts = EVERY_FILTER.format(key=alice.key.prefix).split("&")
    values, labels = _conditions(alice, "&".join(parts[:left_out] + parts[left_out + 1 :]))
    position = (rows[2].created_at, rows[2].pk) if has_position else None
    expected = list(generation_queries.build(values, labels, 3, position))
    assert [row.pk for row in expected] == [row.pk for row in reversed(rows[:2] if has_position else rows[1:])]
    for _ in range(2):  # the text is built once
        found = generation_queries.read(values, labels, 3, position)
        assert [row.__dict__ | {"_state": None} for row in found] == [
            row.__dict__ | {"_state": None} for row in expected
        ]


def test_an_answer_needs_no_column_that_the_list_leaves_out(alice: Caller) -> None:
    for status in ("succeeded", "failed", "running"):
        put_in(alice, status)
    values, labels = _conditions(alice, "")
    rows = generation_queries.read(values, labels, 10, None)
    render.as_json(*rows)  # reads what it needs of other generations
    with CaptureQueriesContext(connection) as queries:
        assert len(render.as_json(*rows)) == 3
    assert len(queries) == 0
    assert rows[0].get_deferred_fields()


def test_a_cursor_needs_no_escape_in_a_url(alice: Caller) -> None:
    for _ in range(3):
        make_generation(alice)
    cursor = alice.http.get(PATH, {"limit": 1}).json()["next_cursor"]
    assert re.fullmatch(r"[A-Za-z0-9._~:-]+", cursor)
    assert len(alice.http.get(f"{PATH}?cursor={cursor}").json()["generations"]) == 2


@pytest.mark.parametrize("plus", ["+", "%2B", " ", "%20"])
def test_a_cursor_of_an_earlier_release_goes_on_however_its_plus_is_written(alice: Caller, plus: str) -> None:
    rows = [make_generation(alice) for _ in range(3)]
    key = alice.key
    signer = Signer(salt=f"cursor {PATH} {key.tenant_id} {key.test}", sep="~")
    old = signer.sign(f"{rows[1].created_at.isoformat()}_{rows[1].pk.hex}")
    assert "+00:00_" in old
    page = alice.http.generic("GET", PATH, QUERY_STRING=f"cursor={old.replace('+', plus)}")
    assert [row["id"] for row in page.json()["generations"]] == [str(rows[0].pk)]


@pytest.mark.parametrize(
    "text",
    ["2026-11-02t00:00:00z", "2026-11-02 00:00:00Z", "2026-11-02T01:00:00+01:00", "2026-11-02T00:00:00.0000000Z"],
)
@pytest.mark.parametrize("escape", [quote, lambda text: text.replace(" ", "+")], ids=["escaped", "as it is"])
def test_times_are_filtered_by_as_rfc_3339_writes_them(alice: Caller, text: str, escape: Any) -> None:
    before = make_generation(alice, created_at=datetime(2026, 11, 1, 23, 59, 59, 999_999, tzinfo=UTC))
    after = make_generation(alice, created_at=datetime(2026, 11, 2, tzinfo=UTC))
    for name, row in {"created_after": after, "created_before": before}.items():
        page = alice.http.generic("GET", PATH, QUERY_STRING=f"{name}={escape(text)}")
        assert [found["id"] for found in page.json()["generations"]] == [str(row.pk)]


def test_a_part_of_a_microsecond_is_between_two_rows(alice: Caller) -> None:
    first = make_generation(alice, created_at=datetime(2026, 11, 2, 0, 0, 0, 1, tzinfo=UTC))
    second = make_generation(alice, created_at=datetime(2026, 11, 2, 0, 0, 0, 2, tzinfo=UTC))
    text = "2026-11-02T00:00:00.0000015Z"
    for name, row in {"created_after": second, "created_before": first}.items():
        assert [found["id"] for found in alice.http.get(PATH, {name: text}).json()["generations"]] == [str(row.pk)]
