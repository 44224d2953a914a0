"""Who works, and what keeps the work waiting: slots, worker hosts, pauses of an upstream and its pace."""

from django.db import models

from tenants import times


class Slot(models.Model):
    """The right to sweep, for as long as its lease runs: as many sweeps are awake as there are slots."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField()
    rung_until = models.DateTimeField(help_text="A ring is under way: no second one is needed before this time.")

    def __str__(self) -> str:
        return f"slot {self.number}"


class Worker(models.Model):
    """One worker host: whether work is done there, and how often its supervisor had to start it again."""

    host = models.CharField(max_length=200, primary_key=True)
    started_at = models.DateTimeField(null=True, help_text="The present cluster.")
    beat_at = models.DateTimeField(null=True, help_text="When a sweep of it last looked at the due rows.")
    restarts = models.PositiveIntegerField(default=0, help_text="By its supervisor, since it is known.")
    restarted_at = models.DateTimeField(null=True)
    restart_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.host


class Pause(models.Model):
    """While it is there, submits to that upstream wait, but for one probe at a time."""

    upstream = models.CharField(max_length=10, primary_key=True, help_text="live or sandbox.")
    since = models.DateTimeField()
    reason = models.TextField(help_text="In the upstream's words, where it said something.")
    probes = models.PositiveIntegerField(default=0, help_text="Submits that came to nothing since.")
    probe_at = models.DateTimeField(help_text="When one submit may be tried.")

    def __str__(self) -> str:
        return f"{self.upstream} since {times.readable(self.since)}"


class Chore(models.Model):
    """How far something that is done piece by piece has come."""

    name = models.CharField(max_length=20, primary_key=True)
    position = models.CharField(max_length=1024, blank=True, help_text="Where it goes on; empty: from the start.")
    done_at = models.DateTimeField(null=True, help_text="When it last came to its end.")

    def __str__(self) -> str:
        return self.name


class Pace(models.Model):
    """When the next submit to that upstream may go out. Its lock lets all hosts keep one rate."""

    upstream = models.CharField(max_length=10, primary_key=True, help_text="live.")
    free_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.upstream} from {self.free_at:%H:%M:%S.%f}"
