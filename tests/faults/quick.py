"""Shorter leases, deadlines and pauses, in their proportions: a lease is still longer than the step that it covers."""

from datetime import timedelta

from django.apps import AppConfig


class Quick(AppConfig):
    name, label = "tests.faults", "faults"

    def ready(self) -> None:
        from generations import lifecycle, wakeups
        from generations.reports import worker_hosts
        from generations.upstream import circuit_breaker
        from generations.upstream.novita import client as novita
        from generations.webhooks import deliveries, fair_queue, send
        from generations.worker import claims, loop, steps, supervisor, video_transfer

        claims.CLAIM_LEASE = timedelta(seconds=10)
        claims.POLL_LEASE = timedelta(seconds=4)
        lifecycle.SUBMIT_LEASE = timedelta(seconds=6)
        lifecycle.COPY_LEASE = timedelta(seconds=8)
        novita.SUBMIT_DEADLINE, novita.POLL_DEADLINE = 3.0, 2.0
        video_transfer.DEADLINE, video_transfer.RENEW_EVERY = 10.0, 1.0
        wakeups.SLOT_LEASE, wakeups.RING_PATIENCE = timedelta(seconds=2), timedelta(seconds=1)
        circuit_breaker.FIRST, circuit_breaker.LONGEST = 0.2, 1.0
        circuit_breaker.PROBE_LEASE = timedelta(
            seconds=1
        )  # probes are killed here by the dozen, and others must find out
        steps.FIRST_POLL, steps.LONGEST_POLL, steps.LONGEST_PAUSE = 0.3, 1.0, 2.0
        steps.UNEXPECTED_TRIES = 100  # hundreds of faults a minute are expected here
        send.DEADLINE, fair_queue.LEASE = 1.0, timedelta(seconds=3)
        deliveries.SCHEDULE = (0.2,) * 100  # hundreds of faults a minute are expected here too
        loop.AWAKE_FOR = 2.5
        worker_hosts.HEARTBEAT_INTERVAL_SECONDS = 1.0
        supervisor.STALL_TIMEOUT = timedelta(seconds=10)
        supervisor.CHECK_INTERVAL_SECONDS = 0.5
        supervisor.LOST_WAKEUP_AFTER = timedelta(seconds=0.5)
