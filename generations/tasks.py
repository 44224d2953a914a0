"""What the queue may call. The names are an interface: messages in flight hold them as text."""

from generations import sweep as sweeping


def sweep() -> int:
    return sweeping.run()
