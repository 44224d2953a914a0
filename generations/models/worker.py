"""State of the workers, and reasons why work waits: slots, worker hosts, paused upstreams and the submit rate."""

from django.db import models

from tenants import times
from tenants.db import clock


class Slot(models.Model):
    """The right to run the worker loop while its lease lasts. There are as many parallel worker runs as slots."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField()
    wake_up_until = models.DateTimeField(
        db_column="rung_until", help_text="A wake-up is in the queue: no other one is needed before this time."
    )

    def __str__(self) -> str:
        return f"slot {self.number}"


class Worker(models.Model):
    """A worker host: when it last showed a heartbeat, and how often its supervisor restarted its processes."""

    host = models.CharField(max_length=200, primary_key=True)
    started_at = models.DateTimeField(null=True, help_text="Start of the present processes.")
    heartbeat_at = models.DateTimeField(
        db_column="beat_at", null=True, help_text="When a worker run on this host last read the due rows."
    )
    restarts = models.PositiveIntegerField(default=0, help_text="Restarts by the supervisor since the host first ran.")
    restarted_at = models.DateTimeField(null=True)
    restart_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.host


class Pause(models.Model):
    """An open circuit breaker: while the row exists, submits to that upstream wait, except one probe at a time."""

    upstream = models.CharField(max_length=20, primary_key=True, help_text="The name of the account.")
    since = models.DateTimeField()
    reason = models.TextField(help_text="The upstream's own message, if it sent one.")
    probes = models.PositiveIntegerField(default=0, help_text="Failed test submits since the pause began.")
    probe_at = models.DateTimeField(help_text="When the next test submit may be sent.")
    probe_sent_at = models.DateTimeField(null=True, help_text="Since when a test submit is under way.")
    refused_at = models.DateTimeField(null=True, help_text="When a submit last came to nothing.")

    class Meta:
        verbose_name, verbose_name_plural = "paused upstream", "upstream status"

    def __str__(self) -> str:
        return f"{self.upstream} since {times.readable(self.since)}"


class PollPause(models.Model):
    """An upstream that refuses polls: until then none is sent, and afterwards fewer than usual."""

    upstream = models.CharField(max_length=20, primary_key=True, help_text="The name of the account.")
    since = models.DateTimeField()
    reason = models.TextField(help_text="The upstream's own message, if it sent one.")
    refusals = models.PositiveIntegerField(default=0, help_text="Each doubles the time between two polls of a task.")
    until = models.DateTimeField(help_text="When polls may go on.")

    def __str__(self) -> str:
        return f"{self.upstream} since {times.readable(self.since)}"


class ManualPause(models.Model):
    """A pause of submits that an operator ordered. Generations stay queued with their holds until it is ended.

    `generations/upstream/manual_pauses.py` says which generations it holds.
    """

    class Scope(models.TextChoices):
        """The generations that a manual pause holds."""

        ALL = "all"
        ACCOUNT = "account"
        TENANT = "tenant"
        MODEL = "model"

    scope = models.CharField(max_length=10, choices=Scope.choices)
    target = models.CharField(
        max_length=100,
        blank=True,
        help_text="The account, or live for all but the sandbox; the number of the tenant; or the name of the model, "
        "with @ and an account behind it if the model is held at one account.",
    )
    since = models.DateTimeField(default=clock.now)
    actor = models.CharField(max_length=150)
    reason = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "target"], name="a_pause_is_ordered_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.target}".strip()


class MaintenanceCursor(models.Model):
    """The progress of a maintenance job that runs in pieces, such as the search for orphans."""

    name = models.CharField(max_length=20, primary_key=True)
    position = models.CharField(
        max_length=1024, blank=True, help_text="Where the next run continues; empty: at the start."
    )
    done_at = models.DateTimeField(null=True, help_text="When the job last reached the end.")

    class Meta:
        db_table = "generations_chore"

    def __str__(self) -> str:
        return self.name


class Pace(models.Model):
    """The time of the next submit to an upstream. All hosts lock this row, and so share one submit rate."""

    upstream = models.CharField(max_length=20, primary_key=True, help_text="The name of the account.")
    free_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.upstream} from {self.free_at:%H:%M:%S.%f}"


class ListReader(models.Model):
    """The right to read the list of tasks of an upstream account: one host at a time, at a pace that all share."""

    upstream = models.CharField(max_length=20, primary_key=True, help_text="The name of the account.")
    owner = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField()
    free_at = models.DateTimeField(help_text="When the next page may be asked for.")

    def __str__(self) -> str:
        return f"{self.upstream} from {self.free_at:%H:%M:%S.%f}"
