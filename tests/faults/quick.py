"""Shorter leases, limits and intervals, in proportion: a lease is still longer than the step that it covers."""

from datetime import timedelta

from botocore.credentials import RefreshableCredentials
from django.apps import AppConfig


class Quick(AppConfig):
    """Shorten the times of the service when Django starts."""

    name, label = "tests.faults", "faults"

    def ready(self) -> None:
        """Set the shorter times."""
        from generations import aws, leases
        from generations.reports import worker_hosts
        from generations.upstream import circuit_breaker, list_scans, lost_answers, manual_pauses
        from generations.upstream.ark import client
        from generations.webhooks import deliveries
        from generations.worker import backoff, lost_attempts, supervisor

        aws.MIN_RENEWAL_SECONDS, aws.RETRY_SECONDS = 2.0, 0.5
        RefreshableCredentials._advisory_refresh_timeout, RefreshableCredentials._mandatory_refresh_timeout = 8, 4
        leases.CLAIM_LEASE = timedelta(seconds=10)
        leases.POLL_LEASE = timedelta(seconds=4)
        leases.SUBMIT_LEASE = timedelta(seconds=6)
        leases.COPY_LEASE = timedelta(seconds=8)
        leases.SUBMIT_START_SECONDS, leases.SUBMIT_CALL_SECONDS, leases.POLL_CALL_SECONDS = 2.0, 3.0, 2.0
        leases.DOWNLOAD_SECONDS, leases.COPY_RENEWAL_SECONDS = 10.0, 1.0
        leases.SLOT_LEASE, leases.WAKE_UP_LEASE = timedelta(seconds=2), timedelta(seconds=1)
        circuit_breaker.MIN_PROBE_SECONDS, circuit_breaker.MAX_PROBE_SECONDS = 0.2, 1.0
        manual_pauses.ASK_AGAIN_SECONDS = 1.0
        leases.PROBE_LEASE = timedelta(seconds=1)  # many probes are killed here, and others must replace them
        lost_answers.CREATE_SECONDS = leases.SUBMIT_START_SECONDS + leases.SUBMIT_CALL_SECONDS
        leases.SCAN_SECONDS, leases.LIST_LEASE = 20.0, timedelta(seconds=5)
        list_scans.PACE = timedelta(seconds=0.2)
        lost_attempts.MAX_BACKOFF_SECONDS = 4.0  # many passes over the list are cut off here
        client.PAGE_SIZE = 60  # so that a pass has several pages
        backoff.MIN_POLL_SECONDS, backoff.MAX_POLL_SECONDS, backoff.MAX_RETRY_SECONDS = 0.3, 1.0, 2.0
        backoff.MAX_UNEXPECTED_ERRORS = 100  # hundreds of faults a minute are expected here
        leases.DELIVERY_CALL_SECONDS, leases.DELIVERY_LEASE = 1.0, timedelta(seconds=3)
        deliveries.SCHEDULE = (0.2,) * 100  # hundreds of faults a minute are expected here too
        leases.RUN_SECONDS = 2.5
        worker_hosts.HEARTBEAT_INTERVAL_SECONDS = 1.0
        supervisor.STALL_TIMEOUT = timedelta(seconds=10)
        supervisor.CHECK_INTERVAL_SECONDS = 0.5
        supervisor.LOST_WAKEUP_AFTER = timedelta(seconds=0.5)
