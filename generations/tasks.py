"""What the queue may call. The names are an interface: messages in flight hold them as text."""

from generations.ops import retention
from generations.worker import loop as sweeping

PRUNE_FOR = 240.0  # seconds of each hour's run; the queue ends a task after 600


def sweep() -> int:
    return sweeping.run()


def prune() -> dict[str, int]:
    """How many went of each kind."""
    return {one.what: one.count for one in retention.Prune(seconds=PRUNE_FOR).run()}
