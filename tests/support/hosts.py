"""Hosts for a test: network namespaces, each with an address and a host name, on one bridge of this machine.

The processes of a host reach only the machine's PostgreSQL, Redis, S3 and upstream, by the address of the bridge. A
host that is cut off reaches none of them, as if its cable were pulled.
"""

import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from deploy import stack
from tests.support.programs import find_program, skip_or_fail


def ip(*words: str) -> None:
    """Run the `ip` command."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """A bridge with an address, and relays from that address to ports of the loopback interface."""

    def __init__(self) -> None:
        find_program("ip", package="iproute2")
        if os.geteuid() != 0:
            skip_or_fail("network namespaces need root")
        number = os.getpid() % 250
        self.bridge, self.subnet = f"sds{os.getpid()}", f"10.77.{number}"
        self.address = f"{self.subnet}.1"
        self.hosts: list[Host] = []
        self._relays: list[socket.socket] = []

    def __enter__(self) -> "Network":
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for listener in self._relays:
            listener.shutdown(socket.SHUT_RDWR)  # this ends the wait of its thread
            listener.close()
        for host in self.hosts:
            host.remove()
        ip("link", "del", self.bridge)

    def add_host(self, name: str) -> "Host":
        """Add a host to the network."""
        host = Host(self, name, len(self.hosts) + 2)
        self.hosts.append(host)
        return host

    def relay(self, port: int) -> str:
        """Relay a port of this machine. Return the `address:port` at which the hosts reach it."""
        listener = socket.create_server((self.address, port))
        self._relays.append(listener)
        threading.Thread(target=self._serve, args=(listener, port), daemon=True).start()
        return f"{self.address}:{port}"

    def _serve(self, listener: socket.socket, port: int) -> None:
        """Relay each connection to the port, until the listener is closed."""
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=_join, args=(near, port), daemon=True).start()


def _join(near: socket.socket, port: int) -> None:
    """Relay both directions of a connection to the port."""
    with near, socket.socket() as far:
        try:
            far.connect(("127.0.0.1", port))
        except OSError:
            return
        back = threading.Thread(target=_pipe, args=(far, near), daemon=True)
        back.start()
        _pipe(near, far)
        back.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    """Send what `source` receives to `target`, until the source ends. On an error close both."""
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # this ends the other direction too


class Host:
    """A network namespace with an address and a name."""

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.name, self.address = name, f"{network.subnet}.{number}"
        self._space, self._link = f"{network.bridge}-{number}", f"v{network.bridge[3:]}-{number}"
        ip("netns", "add", self._space)
        ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        ip("link", "set", self._link, "master", network.bridge, "up")
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            ip("-n", self._space, *words)

    def start(self, name: str, command: list[str], env: Mapping[str, str], logs: Path) -> stack.Process:
        """Start a command on the host and under its name, with no process between this one and the command."""
        command_with_name = ["sh", "-c", 'hostname "$0" && exec "$@"', self.name, *command]
        in_namespace = ["ip", "netns", "exec", self._space, "unshare", "--uts", *command_with_name]
        return stack.Process(name, in_namespace, env, logs, stop_seconds=20.0)

    def cut_off(self) -> None:
        """Cut the host off from the network."""
        ip("link", "set", self._link, "down")

    def rejoin(self) -> None:
        """Connect the host to the network again."""
        ip("link", "set", self._link, "up")

    def remove(self) -> None:
        """Remove the host."""
        ip("link", "del", self._link)  # the other end stays as long as a socket in there has something to send
        ip("netns", "del", self._space)
