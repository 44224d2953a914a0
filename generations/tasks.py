"""The functions that the queue calls. Their names are an interface: messages and schedules hold them as text."""

from generations import leases
from generations.ops import pruning
from generations.worker import loop


def sweep() -> int:
    """Do one worker run. Return the number of steps and deliveries started."""
    return loop.run()


def prune() -> dict[str, int]:
    """Prune for up to PRUNE_SECONDS, and return the number of deleted items of each kind. Raise ClocksDiffer."""
    return {result.what: result.count for result in pruning.run(seconds=leases.PRUNE_SECONDS)}
