"""What tests do in a worker's place: claim due rows, and read the queue of wake-ups."""

import threading

from django_q.models import OrmQ

from generations.models import Generation
from generations.worker import claims


def claim_due(limit: int) -> list[Generation]:
    """Claim up to `limit` due rows of every lane, as a worker run does."""
    claimed = claims.others(limit)
    claimed += claims.submits(limit - len(claimed))
    return claimed + claims.polls(limit - len(claimed))


def await_wakeup() -> None:
    """Wait until the wake-up that was delayed for a moment, if any, has been sent."""
    for thread in threading.enumerate():
        if thread.name == "ring":
            thread.join()


def count_wakeups() -> int:
    """Return how many wake-ups were sent, with the delayed one."""
    await_wakeup()
    return OrmQ.objects.count()


def clear_wakeups() -> None:
    """Delete the wake-ups that were sent, with the delayed one."""
    await_wakeup()
    OrmQ.objects.all().delete()
