"""Resolve no name beyond this machine. Each process of the service loads this module by PYTHONPATH."""

import socket
from typing import Any

getaddrinfo = socket.getaddrinfo


def getaddrinfo_of_this_machine(host: Any, *args: Any, **options: Any) -> Any:
    """Resolve the names of this machine, and refuse all others."""
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        raise socket.gaierror(socket.EAI_NONAME, "Names of other machines are not resolved here")
    return getaddrinfo(host, *args, **options)


socket.getaddrinfo = getaddrinfo_of_this_machine
