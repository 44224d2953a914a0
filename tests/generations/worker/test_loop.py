"""A worker run with real threads: the rows it claims, when it ends, and that no wake-up is lost."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from generations import leases, lifecycle, wakeups
from generations.bucket import inputs, object_keys, objects
from generations.media.images import inspect
from generations.models import Generation, Slot, Worker
from generations.reports import worker_hosts
from generations.worker import claims, loop
from generations.worker.poll_batch import PollBatch
from generations.worker.thread_pool import open_pool
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.patience import PATIENCE
from tests.support.upstream import Upstream
from tests.support.worker import count_wakeups

pytestmark = pytest.mark.django_db(transaction=True)
Status = Generation.Status


@pytest.fixture
def generations(alice: Caller, bucket: Any, upstream: Upstream) -> list[Generation]:
    """Return 20 queued generations with one image."""
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    return [make_generation(alice, image=image) for _ in range(20)]


@pytest.mark.parametrize("threads", [2, 16], ids=["one copy at once", "twelve copies at once"])
def test_a_run_finishes_every_generation(
    generations: list[Generation], upstream: Upstream, settings: Any, threads: int
) -> None:
    settings.SWEEP_THREADS = threads
    upstream.video(mp4())
    count = loop.run()
    assert set(Generation.objects.values_list("status", flat=True)) == {Status.SUCCEEDED}
    assert len(upstream.submits) == 20
    assert count >= 40
    assert not Slot.objects.filter(lease_until__gt=timezone.now()).exists()
    assert count_wakeups() == 0  # nothing is live: no later run is woken


def test_a_rendered_generation_for_which_no_thread_is_free_waits_in_the_database(alice: Caller) -> None:
    first, second = (put_in(alice, "copying")[0] for _ in range(2))
    batch = PollBatch()
    batch.max_copies = 1
    for generation in (first, second):
        batch._start_copy(generation, "https://files.example/video.mp4")
    assert [generation.pk for generation, _ in batch.copies] == [first.pk]
    assert [generation.pk for generation in claims.claim_copies(5)] == [second.pk]


def test_a_run_with_nothing_to_do_ends_at_once(db: None) -> None:
    started = time.monotonic()
    assert loop.run() == 0
    assert time.monotonic() - started < leases.RUN_SECONDS / 2


def test_a_second_run_finds_no_slot_and_ends_at_once(generations: list[Generation], upstream: Upstream) -> None:
    assert wakeups.take_slot()
    assert loop.run() == 0
    assert upstream.submits == []


def test_a_run_whose_time_is_over_wakes_the_next(
    generations: list[Generation], upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "RUN_SECONDS", 0.0)
    loop.run()
    assert Generation.objects.filter(status=Status.RUNNING).exists()
    assert count_wakeups() == 1


def test_a_row_due_much_later_is_left_to_the_schedule(alice: Caller) -> None:
    g = make_generation(alice)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() + timedelta(minutes=5))
    assert loop.run() == 0
    assert count_wakeups() == 0


def test_a_run_that_is_asked_to_stop_ends_and_wakes_no_other(generations: list[Generation], upstream: Upstream) -> None:
    polled = threading.Event()
    answer = upstream.on_poll
    upstream.on_poll = lambda handler: (polled.set(), answer)[1]
    thread = threading.Thread(target=lambda: (loop.run(), connection.close()))
    thread.start()
    assert polled.wait(PATIENCE)
    wakeups.free_slots_of_this_host()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert count_wakeups() == 0


def test_a_step_that_fails_is_logged_and_harms_no_other(
    generations: list[Generation], upstream: Upstream, caplog: Any, monkeypatch: Any
) -> None:
    first, start_submitting = Generation.objects.earliest("id"), lifecycle.start_submitting
    mark_succeeded = lifecycle.mark_succeeded

    def stop_with_the_last(*args: Any) -> bool:
        marked = mark_succeeded(*args)
        if Generation.objects.filter(status=Status.SUCCEEDED).count() == 19:
            wakeups.free_slots_of_this_host()  # or the run goes on with the row that fails
        return marked

    def start_others(generation: Generation, *args: Any, **asked: Any) -> Any:
        if generation.pk == first.pk:
            raise RuntimeError("out of order")
        return start_submitting(generation, *args, **asked)

    monkeypatch.setattr(lifecycle, "start_submitting", start_others)
    monkeypatch.setattr(lifecycle, "mark_succeeded", stop_with_the_last)
    upstream.video(mp4())
    loop.run()
    assert Generation.objects.filter(status=Status.SUCCEEDED).count() == 19
    first.refresh_from_db()
    assert first.status == Status.QUEUED
    assert "a step failed" in caplog.text


def test_a_run_records_heartbeats_and_a_restart_is_counted_with_its_reason(
    generations: list[Generation], upstream: Upstream
) -> None:
    worker_hosts.record_start()
    upstream.video(mp4())
    loop.run()
    worker_hosts.record_restart("work is due, and none was done for a minute")
    worker = Worker.objects.get(pk=wakeups.host())
    times = [worker.started_at, worker.heartbeat_at, worker.restarted_at]
    assert None not in times
    assert times == sorted(times, key=str)
    assert (worker.restarts, worker.restart_reason) == (1, "work is due, and none was done for a minute")


def test_a_wake_up_of_a_host_whose_clock_is_ahead_does_not_prevent_others(alice: Caller) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        assert wakeups.wake_worker()
    wakeups.wake_worker()
    assert count_wakeups() == 2


def test_a_generation_created_while_a_run_is_awake_needs_no_wake_up(
    generations: list[Generation], alice: Caller, upstream: Upstream
) -> None:
    polled = threading.Event()
    answer = upstream.on_poll
    upstream.on_poll = lambda handler: (polled.set(), answer)[1]
    thread = threading.Thread(target=lambda: (loop.run(), connection.close()))
    thread.start()
    try:
        assert polled.wait(PATIENCE)
        late = make_generation(alice, image=generations[0].image, seed=4242)
        assert not wakeups.wake_worker()
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and late.seed not in [submit["seed"] for submit in upstream.submits]:
            time.sleep(0.02)
        assert late.seed in [submit["seed"] for submit in upstream.submits]
    finally:
        wakeups.free_slots_of_this_host()
        thread.join(PATIENCE)


def test_a_run_deletes_what_a_deletion_left_in_the_bucket(alice: Caller, bucket: Any) -> None:
    g, _ = put_in(alice, "failed")
    Generation.objects.filter(pk=g.pk).update(deleted_at=timezone.now() - timedelta(hours=1))
    objects.put(f"{object_keys.video_prefix(g)}1.mp4", b"left", "video/mp4")
    loop.run()
    assert objects.list_keys("") == []
    assert Generation.objects.get(pk=g.pk).purged_at


def test_upkeep_that_fails_in_one_piece_is_done_in_the_others(alice: Caller, bucket: Any, monkeypatch: Any) -> None:
    g, _ = put_in(alice, "failed")
    Generation.objects.filter(pk=g.pk).update(deleted_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr("generations.webhooks.deliveries.fail_strays", lambda: 1 // 0)
    loop.run()
    assert Generation.objects.get(pk=g.pk).purged_at


@pytest.mark.parametrize("threads", [1, 4, 100], ids=lambda threads: f"{threads} threads")
def test_with_polls_due_the_next_iteration_comes_when_half_of_the_pool_is_free(threads: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(loop, "MAX_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(loop, "ITERATION_SECONDS", 30.0)
    may_end = threading.Semaphore(0)
    with open_pool("poll", threads, loop.POLLS_PER_THREAD * threads, lambda _: may_end.acquire()) as pool:
        half, waited = loop._min_claim(pool), threading.Event()
        pool.start(range(pool.size - half + 1))  # with one more finished, half of the pool is free

        def wait() -> None:
            loop._wait(set(), pool, PollBatch(), want_polls=True)
            waited.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not waited.wait(0.2)
        may_end.release()
        assert waited.wait(PATIENCE)
        wait()  # half of the pool is still free
        may_end.release(pool.size)
        thread.join()
