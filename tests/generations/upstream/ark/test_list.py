"""The list of tasks: all pages of both tiers, and no end before all was seen."""

from typing import Any

import pytest

from generations.upstream.ark import client
from generations.upstream.ark.wire import WIRE
from generations.upstream.errors import AccountError, UpstreamError
from generations.upstream.protocol import Account, ListPage
from tests.support.ark_answers import MODEL, page, refusal, task_object
from tests.support.upstream import Upstream, as_json


def tasks(*numbers: int) -> list[dict[str, Any]]:
    """Return tasks with these numbers in their ids."""
    return [task_object("succeeded", f"cgt-20261129101500-{number:05}", seed=number) for number in numbers]


def script(upstream: Upstream, *default: Any, flex: tuple[Any, ...] = (page(),)) -> None:
    """Let the upstream answer with these pages by their numbers, of each tier; the last again and again."""

    def answer(handler: Any) -> Any:
        query = upstream.lists[-1]
        pages = flex if query.get("filter.service_tier") == "flex" else default
        return pages[min(int(query["page_num"]), len(pages)) - 1]

    upstream.on_list = answer


def scan(account: Account) -> list[ListPage]:
    """Return all pages."""
    return list(WIRE.list_tasks(account, MODEL))


def seeds(pages: list[ListPage]) -> list[int | None]:
    """Return the seeds of all tasks."""
    return [task.seed for page in pages for task in page.tasks]


def test_all_pages_of_both_tiers_are_read(upstream: Upstream, account: Account) -> None:
    flex = (page(*tasks(8), total=2), page(*tasks(9), total=2))
    script(upstream, page(*tasks(1, 2), total=3), page(*tasks(3), total="3"), flex=flex)
    pages = scan(account)
    assert seeds(pages) == [1, 2, 3, 8, 9]
    assert [page.total for page in pages] == [3, 3, 5, 5]  # a page of flex tasks counts the others too
    usual = {"page_size": "500", "filter.model": MODEL}
    assert upstream.lists == [
        {"page_num": "1", **usual},
        {"page_num": "2", **usual},
        {"page_num": "1", **usual, "filter.service_tier": "flex"},
        {"page_num": "2", **usual, "filter.service_tier": "flex"},
    ]
    assert upstream.keys == {"Bearer key-of-ark-in-the-tests"}


def test_a_page_is_read_when_it_is_asked_for(upstream: Upstream, account: Account) -> None:
    script(upstream, page(*tasks(1), total=2), page(*tasks(2), total=2))
    pages = WIRE.list_tasks(account, MODEL)
    assert upstream.lists == []
    next(pages)
    assert len(upstream.lists) == 1


@pytest.mark.parametrize("empty", [page(), as_json({"items": None, "total": 0}), as_json({"items": [], "total": "0"})])
def test_a_list_may_be_empty(upstream: Upstream, account: Account, empty: Any) -> None:
    script(upstream, empty)
    assert [(page.tasks, page.total) for page in scan(account)] == [([], 0), ([], 0)]


@pytest.mark.parametrize(
    "pages",
    [
        [page(total=1)],
        [page(*tasks(1), total=3), page(total=3)],
        [page(*tasks(1, 2), total=3)],  # the same page again and again
        [page(*tasks(1, 2), total=4), page(*tasks(3), total=3), page(total=3)],  # a task has gone: one may be missed
        [page(*tasks(1), total=1), page(total=2)],
    ],
    ids=["nothing", "an end too early", "one page for all", "a total that falls", "a total that rises"],
)
def test_a_list_that_is_cut_off_is_not_whole(upstream: Upstream, account: Account, pages: list[Any]) -> None:
    script(upstream, *pages, flex=(page(total=1),))
    with pytest.raises(UpstreamError, match="ended after"):
        scan(account)


def test_a_list_goes_on_to_the_larger_total(upstream: Upstream, account: Account) -> None:
    script(upstream, page(*tasks(1, 2), total=3), page(*tasks(3, 4), total=5), page(*tasks(5), total=5))
    pages = scan(account)
    assert seeds(pages) == [1, 2, 3, 4, 5]
    assert pages[-1].total == 5


def test_new_tasks_may_push_known_ones_to_the_next_page(upstream: Upstream, account: Account) -> None:
    script(upstream, page(*tasks(3, 2), total=3), page(*tasks(2, 1), total=4))
    assert seeds(scan(account)) == [3, 2, 2, 1]


def test_a_list_without_an_end_is_left(upstream: Upstream, account: Account, monkeypatch: Any) -> None:
    monkeypatch.setattr(client, "MAX_PAGES", 3)
    upstream.on_list = lambda handler: page(*tasks(len(upstream.lists)), total=10**9)
    with pytest.raises(UpstreamError, match="goes on after 3 pages"):
        scan(account)
    assert len(upstream.lists) == 3


UNREADABLE = {
    "an item that is text": page("cgt-1"),
    "an item that is null": page(None),
    "an item without an id": page({"status": "running"}),
    "an item with a number as its id": page({"id": 7}),
    "an item with an empty id": page({"id": ""}),
    "items that are no list": as_json({"items": {}, "total": 0}),
    "no items": as_json({"total": 1}),
    "no total": as_json({"items": []}),
    "a total that is no number": as_json({"items": [], "total": "all"}),
    "a negative total": as_json({"items": [], "total": -1}),
    "a fraction": as_json({"items": [], "total": 0.5}),
    "a name twice": (200, {}, b'{"items": [], "total": 1, "total": 0}'),
    "a list": as_json([]),
    "no JSON": (200, {}, b"<html>"),
    "nothing": (200, {}, b""),
    "a failure": refusal(500, "InternalServiceError"),
    "no connection": lambda handler: None,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_page_that_cannot_be_read_ends_the_scan(upstream: Upstream, account: Account, name: str) -> None:
    upstream.on_list = UNREADABLE[name]
    with pytest.raises(UpstreamError):
        scan(account)
    assert len(upstream.lists) == 1


def test_a_scan_may_be_refused_for_our_account(upstream: Upstream, account: Account) -> None:
    upstream.on_list = refusal(429, "RateLimitExceeded.EndpointRPMExceeded", **{"Retry-After": "3"})
    with pytest.raises(AccountError) as caught:
        scan(account)
    assert (caught.value.is_rate_limit, caught.value.retry_after) == (True, 3.0)


def test_a_full_page_with_long_urls_is_read(upstream: Upstream, account: Account) -> None:
    content = {
        "video_url": "https://v.example.com/" + "a" * 2000,
        "last_frame_url": "https://v.example.com/" + "b" * 2000,
    }
    script(upstream, page(*[{**task, "content": content} for task in tasks(*range(500))]))
    assert len(seeds(scan(account))) == 500
