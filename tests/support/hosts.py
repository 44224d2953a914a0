"""Hosts for a test: network namespaces with an address and a host's name of their own, on one bridge of this machine.

What runs in one reaches the machine's PostgreSQL, Redis, S3 and upstream by the bridge's own address, and nothing else;
a host that is cut off loses all that, as one whose cable is pulled.
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
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """A bridge with its own address, and relays from there to ports of the loopback interface."""

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
            listener.shutdown(socket.SHUT_RDWR)  # whoever waits in it hears of it
            listener.close()
        for host in self.hosts:
            host.remove()
        ip("link", "del", self.bridge)

    def host(self, name: str) -> "Host":
        made = Host(self, name, len(self.hosts) + 2)
        self.hosts.append(made)
        return made

    def relay(self, port: int) -> str:
        """`address:port` at which the hosts reach the machine's own port."""
        listener = socket.create_server((self.address, port))
        self._relays.append(listener)
        threading.Thread(target=self._serve, args=(listener, port), daemon=True).start()
        return f"{self.address}:{port}"

    def _serve(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=_join, args=(near, port), daemon=True).start()


def _join(near: socket.socket, port: int) -> None:
    with near, socket.socket() as far:
        try:
            far.connect(("127.0.0.1", port))
        except OSError:
            return
        back = threading.Thread(target=_pipe, args=(far, near), daemon=True)
        back.start()
        _pipe(near, far)
        back.join()


def _pipe(one: socket.socket, other: socket.socket) -> None:
    try:
        while piece := one.recv(65536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the other direction hears of it too


class Host:
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
        """There, and under its name: no process is between this one and the command."""
        renamed = ["sh", "-c", 'hostname "$0" && exec "$@"', self.name, *command]
        there = ["ip", "netns", "exec", self._space, "unshare", "--uts", *renamed]
        return stack.Process(name, there, env, logs, stop_seconds=20.0)

    def cut_off(self) -> None:
        ip("link", "set", self._link, "down")

    def join_again(self) -> None:
        ip("link", "set", self._link, "up")

    def remove(self) -> None:
        ip("link", "del", self._link)  # the other end stays as long as a socket in there has something to send
        ip("netns", "del", self._space)
