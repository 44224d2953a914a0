"""Two hosts of one name with equal process ids, as containers can have: they share the work, and pay once for each."""

import itertools
import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection

from generations import wakeups
from generations.bucket import inputs
from generations.media.images import inspect
from generations.models import Generation, Slot
from generations.worker import loop
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream, as_json

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 12
HOSTS = 2


@pytest.fixture
def one_name(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "_owner", lambda pid: f"{wakeups.host()}/7")
    settings.SWEEP_SLOTS = HOSTS


def run_all() -> list[int]:
    """Let each host do a worker run at the same time. Return the steps that each has started."""
    counts: list[int] = []

    def work() -> None:
        counts.append(loop.run())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(HOSTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


@pytest.mark.parametrize("one_starts_again", [False, True])
def test_hosts_of_one_name_pay_once_for_each(
    alice: Caller, bucket: Any, upstream: Upstream, one_name: None, one_starts_again: bool
) -> None:
    """A supervisor that starts frees the slots of its name, and so stops the other host's run in order."""
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    for seed in range(COUNT):
        make_generation(alice, image=image, seed=seed)
    owners, numbers = list[tuple[str, ...]](), itertools.count()

    def take(handler: Any) -> Any:
        if one_starts_again and not owners:
            owners.append(tuple(Slot.objects.exclude(owner="").values_list("owner", flat=True)))
            wakeups.free_slots_of_this_host()
            connection.close()  # of the upstream's thread
        return as_json({"task_id": f"upstream-{next(numbers)}"})

    upstream.on_submit = take
    upstream.video(mp4())
    run_all()
    if one_starts_again:
        assert set(owners[0]) == {f"{wakeups.host()}/7"}
    for _ in range(5):
        Generation.objects.filter(finished_at=None).update(due_at="2020-01-01T00:00Z")  # as after their leases
        run_all()
    assert Counter(Generation.objects.values_list("status", flat=True)) == {"succeeded": COUNT}
    assert Counter(submit["seed"] for submit in upstream.submits) == dict.fromkeys(range(COUNT), 1)
    assert Slot.objects.exclude(owner="").count() == 0
