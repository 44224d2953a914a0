"""Test the list of tasks on the sandbox's Ark wire, and what DELETE does by status."""

import time

import httpx
import pytest

from tests.deploy.sandbox.conftest import METERED, MODEL, Ark, error_of

pytestmark = pytest.mark.story

WEEK = 7 * 86_400


def test_the_list_has_the_newest_task_first_and_is_cut_into_pages(ark: Ark) -> None:
    ids = [ark.create("[wait 1000]") for _ in range(3)]
    assert ark.list_ids(page_size=2) == [ids[2], ids[1]]
    assert ark.list_ids(page_size=2, page_num=2)[0] == ids[0]
    total = ark.list()["total"]
    assert ark.list(page_num=total + 1, page_size=1) == {"items": [], "total": total}
    assert ark.list()["items"][0] == ark.get(ids[2])


def test_a_page_has_twenty_tasks_unless_more_are_asked_for(ark: Ark) -> None:
    for _ in range(21):
        ark.create("[wait 1000]")
    assert len(ark.list()["items"]) == 20
    assert len(ark.list(page_size=500)["items"]) > 20


@pytest.mark.parametrize(
    "query", [{"page_num": 0}, {"page_size": 501}, {"page_size": "x"}, {"filter.status": "done"}], ids=str
)
def test_a_wrong_query_is_refused(ark: Ark, query: dict[str, object]) -> None:
    answer = ark.send("GET", params=query)
    assert error_of(answer) == (400, "InvalidParameter")
    assert answer.json()["error"]["param"] == next(iter(query))


def test_tasks_are_filtered_by_status_ids_and_model(ark: Ark) -> None:
    waiting, done = ark.create("[wait 1000]"), ark.create()
    ark.wait(done, "succeeded")
    assert done in ark.list_ids(status="succeeded")
    assert waiting not in ark.list_ids(status="succeeded", page_size=500)
    assert set(ark.list_ids(task_ids=[waiting, done])) == {waiting, done}
    assert ark.list_ids(task_ids=[waiting, done], status="queued") == [waiting]
    assert ark.list_ids(task_ids=[waiting], model=MODEL) == [waiting]
    assert ark.list_ids(task_ids=[waiting], model="another") == []


def test_flex_tasks_are_listed_only_where_they_are_asked_for(ark: Ark) -> None:
    flex, plain = ark.create(service_tier="flex"), ark.create()
    assert ark.list_ids(task_ids=[flex, plain]) == [plain]
    assert ark.list_ids(task_ids=[flex, plain], service_tier="default") == [plain]
    assert ark.list_ids(task_ids=[flex, plain], service_tier="flex") == [flex]


def test_the_metered_twin_has_no_list(ark: Ark) -> None:
    assert ark.at(METERED).send("GET").status_code == 404


def test_a_queued_task_is_cancelled_and_leaves_the_list_after_a_day(ark: Ark) -> None:
    task_id = ark.create("[wait 1000]")
    answer = ark.send("DELETE", task_id)
    assert (answer.status_code, answer.json()) == (200, {})
    assert ark.get(task_id)["status"] == "cancelled"
    assert error_of(ark.send("DELETE", task_id)) == (409, "InvalidAction")
    ark.put_clock_forward(86_401)
    assert error_of(ark.send("GET", task_id)) == (404, "NotFound.Task")


def test_a_running_task_is_not_cancelled(ark: Ark) -> None:
    task_id = ark.create("[wait 500] [run 500]")
    assert ark.get(task_id)["status"] == "queued"
    ark.put_clock_forward(500)  # between the read and the DELETE
    assert error_of(ark.send("DELETE", task_id)) == (409, "InvalidAction.RunningTaskDeletion")
    assert ark.get(task_id)["status"] == "running"
    ark.put_clock_forward(500)
    assert ark.wait(task_id, "succeeded")["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(("prompt", "status"), [("a", "succeeded"), ("[fail]", "failed"), ("[expire]", "expired")])
def test_the_record_of_a_finished_task_is_removed(ark: Ark, prompt: str, status: str) -> None:
    task_id = ark.create(prompt)
    done, paid = ark.wait(task_id, status), ark.count_paid()
    assert ark.send("DELETE", task_id).status_code == 200
    assert error_of(ark.send("GET", task_id)) == (404, "NotFound.Task")
    assert ark.list_ids(task_ids=[task_id]) == []
    assert ark.count_paid() == paid  # it was paid for
    if status == "succeeded":
        assert httpx.get(done["content"]["video_url"]).status_code == 404


def test_the_metered_twin_cancels_too(ark: Ark) -> None:
    task_id = ark.at(METERED).create("[wait 1000]")
    assert ark.at(METERED).send("DELETE", task_id).status_code == 200
    assert ark.at(METERED).get(task_id)["status"] == "cancelled"


def test_a_task_that_waits_too_long_expires(ark: Ark) -> None:
    task_id = ark.create("[wait 9000]", execution_expires_after=3600)
    ark.put_clock_forward(3601)
    expired = ark.get(task_id)
    assert (expired["status"], expired["updated_at"]) == ("expired", expired["created_at"] + 3600)


def test_records_are_there_for_a_week(ark: Ark) -> None:
    task_id = ark.create()
    ark.wait(task_id, "succeeded")
    ark.put_clock_forward(WEEK - 60)
    assert ark.list_ids(task_ids=[task_id]) == [task_id]
    ark.put_clock_forward(61)
    assert ark.list_ids(task_ids=[task_id]) == []
    assert error_of(ark.send("GET", task_id)) == (404, "NotFound.Task")


def test_a_task_can_be_hidden_from_the_list_at_first(ark: Ark) -> None:
    task_id = ark.create("[hide 20]")
    assert ark.get(task_id)["id"] == task_id
    assert ark.list_ids(task_ids=[task_id]) == []
    ark.put_clock_forward(20)
    assert ark.list_ids(task_ids=[task_id]) == [task_id]


def test_a_prompt_can_ask_for_a_slow_list(ark: Ark) -> None:
    task_id = ark.create("[wait 1000] [slow list 1]")
    begun = time.monotonic()
    ark.list()
    assert time.monotonic() - begun >= 1
    assert ark.send("DELETE", task_id).status_code == 200
    ark.put_clock_forward(86_401)  # its record is gone, so the list is fast again
    ark.list()
