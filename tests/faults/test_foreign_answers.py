"""An upstream that sends other tasks' answers too: each caller gets its own video, whatever a connection carries."""

from collections.abc import Iterator
from typing import Any

import pytest

from generations.models import Event, Generation
from tests.faults import faulty_server as lab
from tests.faults.faulty_server import sha256_of
from tests.faults.upstream import LabUpstream, Task
from tests.support.factories import Caller, make_generation
from tests.support.worker import ledger_kinds, take_step

pytestmark = pytest.mark.django_db
CALLERS = 8


class Foreign(LabUpstream):
    """An upstream that injects one of FOREIGN into each answer, and finishes each task at once."""

    kind = ""

    def draw(self, chance: float, kinds: list[str]) -> str:
        if kinds is not lab.FOREIGN or self.calm:
            return ""
        self.faults[self.kind] += 1
        return self.kind

    def create(self, seed: int) -> Task:
        task = super().create(seed)
        task.ready_at, task.fails = 0.0, False
        return task


@pytest.fixture
def foreign(settings: Any, bucket: Any) -> Iterator[Foreign]:
    server = Foreign(seed=1)
    settings.NOVITA_BASE_URL = server.url
    settings.FETCH_ALLOW_HOSTS = [server.url.removeprefix("http://")]
    yield server
    server.stop()


def made(foreign: Foreign, number: int) -> Generation:
    """Return a queued generation of a tenant of its own. The number is its seed."""
    return make_generation(Caller(f"tenant-{number}"), seed=number, image=None, image_url=f"{foreign.url}/image.png")


@pytest.mark.parametrize("kind", lab.FOREIGN)
def test_each_caller_gets_the_video_of_its_own_seed(foreign: Foreign, kind: str) -> None:
    foreign.kind = kind
    rows = [made(foreign, number) for number in range(CALLERS)]
    rows = [take_step(row) for row in rows]  # submitted
    assert [foreign.tasks[row.upstream_id or ""].seed for row in rows] == list(range(CALLERS))
    rows = [take_step(row) for row in rows]  # polled, one behind the other on connections that stay open
    foreign.calm = True
    for _ in range(5):
        rows = [row if row.finished_at else take_step(row) for row in rows]
    assert {row.status for row in rows} == {"succeeded"}
    assert [row.video_sha256 for row in rows] == [sha256_of(number) for number in range(CALLERS)]
    assert all(ledger_kinds(row) == ["hold", "capture"] for row in rows)
    assert foreign.created == dict.fromkeys(range(CALLERS), 1)
    assert foreign.faults[kind] >= CALLERS


def test_another_tasks_result_is_written_down_and_is_no_progress(foreign: Foreign) -> None:
    foreign.kind = "another's result"
    rows = [made(foreign, number) for number in range(2)]
    rows = [take_step(row) for row in rows]
    before = Event.objects.count()
    row = take_step(rows[0])
    assert (row.status, row.video_key) == ("running", "")
    assert Event.objects.count() == before + 1
    [written] = Event.objects.filter(generation=row).order_by("-id")[:1]
    assert "up-1-1" not in written.message, "a caller learns no id of another's task"
    assert Generation.objects.get(pk=row.pk).upstream_id == "up-0-1"
