"""How glibc's malloc behaves in the service's processes."""

import os
from collections.abc import Sequence

WEB = (
    "glibc.malloc.hugetlb=1",
    "glibc.malloc.mmap_threshold=8388608",  # bytes
    "glibc.malloc.trim_threshold=33554432",  # bytes
    "glibc.malloc.arena_max=4",
)
WORKER = ("glibc.malloc.arena_max=2",)


def tunables(values: Sequence[str]) -> dict[str, str]:
    """Return how glibc's malloc behaves in a process; deploy/Procfile sets the same.

    In a web process, a body of megabytes comes in pages of 2 MB, if the system has such pages. A block above 8 MiB
    goes back to the system as soon as it is freed. Without that limit glibc would raise it to 32 MB by itself, and each
    thread would hold the memory of an image of 30 MB. Smaller blocks stay in an arena. Up to 32 MiB at its free end
    stay for the next request: the bodies of two images of 5 MB. New pages would have to be cleared, a millisecond for a
    few MB.
    Threads share 4 arenas. In a worker they share 2: with an arena for each, sixteen threads that copy hold 80 MB more.
    The present value of GLIBC_TUNABLES comes last, and so overrides these values.
    Source: https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html.
    """
    return {"GLIBC_TUNABLES": ":".join(filter(None, [*values, os.environ.get("GLIBC_TUNABLES")]))}
