"""What the queue may call. The names are an interface: messages in flight hold them as text."""

from generations import leases
from generations.ops import pruning
from generations.worker import loop as sweeping


def sweep() -> int:
    return sweeping.run()


def prune() -> dict[str, int]:
    """Prune for up to PRUNE_SECONDS, and return the number of deleted items of each kind."""
    return {result.what: result.count for result in pruning.run(seconds=leases.PRUNE_SECONDS)}
