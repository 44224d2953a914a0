"""In each process of the service, by PYTHONPATH: no name leads beyond this machine, so that nothing is asked there."""

import socket
from typing import Any

known = socket.getaddrinfo


def of_this_machine(host: Any, *args: Any, **options: Any) -> Any:
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        raise socket.gaierror(socket.EAI_NONAME, "Names are not looked up here")
    return known(host, *args, **options)


socket.getaddrinfo = of_this_machine
