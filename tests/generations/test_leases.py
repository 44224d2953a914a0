"""The order of leases and time limits: each lease is longer than the work it covers."""

from datetime import timedelta

from django.conf import settings

from generations import leases
from generations.bucket import client, objects
from generations.reports import worker_hosts
from generations.upstream import list_scans
from generations.worker import supervisor


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_a_submits_lease_covers_its_call_and_the_record_of_its_answer() -> None:
    assert seconds(leases.SUBMIT_CALL_SECONDS + leases.RECORD_ANSWER_SECONDS) < leases.SUBMIT_LEASE
    assert leases.PROBE_LEASE >= leases.SUBMIT_LEASE


def test_a_claim_covers_the_wait_for_memory() -> None:
    assert 2 * seconds(leases.MEMORY_WAIT_SECONDS) < leases.CLAIM_LEASE


def test_a_claim_covers_each_part_of_preparing_a_submit() -> None:
    """It is renewed after an image was read from its URL, after it was stored, and after the wait for memory."""
    store = client.MAX_ATTEMPTS * (client.CONNECT_TIMEOUT_SECONDS + client.READ_TIMEOUT_SECONDS)
    for longest in (leases.IMAGE_CALL_SECONDS, store, leases.MEMORY_WAIT_SECONDS, 2 * objects.MAX_READ_SECONDS):
        assert seconds(longest) < leases.CLAIM_LEASE


def test_a_polls_lease_covers_the_poll_after_half_of_it_was_waited_for_a_thread() -> None:
    assert seconds(leases.POLL_CALL_SECONDS) < leases.POLL_LEASE / 2


def test_a_search_of_a_list_keeps_its_lease_from_page_to_page_and_ends_within_the_queues_limit() -> None:
    page = seconds(leases.POLL_CALL_SECONDS) + list_scans.PACE
    assert 2 * page < leases.LIST_LEASE
    assert page < leases.COPY_LEASE  # of the generation's claim, which each page renews
    assert leases.RUN_SECONDS + leases.SCAN_SECONDS + 2 * page.total_seconds() < settings.Q_CLUSTER["timeout"]


def test_a_copys_lease_covers_several_renewals_and_a_poll() -> None:
    assert 3 * seconds(leases.COPY_RENEWAL_SECONDS) < leases.COPY_LEASE
    assert seconds(leases.POLL_CALL_SECONDS + leases.COPY_RENEWAL_SECONDS) < leases.COPY_LEASE
    assert leases.COPY_SECONDS > leases.DOWNLOAD_SECONDS


def test_a_deliverys_lease_covers_two_attempts() -> None:
    assert 2 * seconds(leases.DELIVERY_CALL_SECONDS) < leases.DELIVERY_LEASE


def test_the_queue_ends_no_task_that_is_within_its_limits() -> None:
    run = leases.RUN_SECONDS + leases.POLL_CALL_SECONDS + leases.COPY_SECONDS
    assert max(run, leases.RUN_SECONDS + leases.SUBMIT_LEASE.total_seconds()) < settings.Q_CLUSTER["timeout"]
    assert leases.PRUNE_SECONDS < settings.Q_CLUSTER["timeout"] < settings.Q_CLUSTER["retry"]


def test_a_slot_outlives_the_pauses_of_its_run() -> None:
    assert seconds(1) < leases.WAKE_UP_LEASE < leases.SLOT_LEASE < seconds(leases.RUN_SECONDS)


def test_a_host_counts_as_stalled_only_after_a_dead_runs_slot_is_free_and_a_heartbeat_is_overdue() -> None:
    assert leases.SLOT_LEASE + seconds(worker_hosts.HEARTBEAT_INTERVAL_SECONDS) < supervisor.STALL_TIMEOUT
    assert supervisor.STALL_TIMEOUT > supervisor.LOST_WAKEUP_AFTER + leases.WAKE_UP_LEASE
    assert seconds(60) + seconds(leases.RUN_SECONDS) < worker_hosts.SILENT_AFTER
    assert supervisor.DRAIN_SECONDS < supervisor.KILL_AFTER_SECONDS < 10
