"""What the queue may call. The names are an interface: messages in flight hold them as text."""

from generations import leases
from generations.ops import retention
from generations.worker import loop as sweeping


def sweep() -> int:
    return sweeping.run()


def prune() -> dict[str, int]:
    """How many went of each kind."""
    return {one.what: one.count for one in retention.Prune(seconds=leases.PRUNE_SECONDS).run()}
