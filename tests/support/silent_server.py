"""A server that accepts connections and never answers, as a service does that is stopped without being closed."""

import socket
import threading
from types import TracebackType


class SilentServer:
    """A server on a free port of this machine. `asked` is set once something was sent to it."""

    def __enter__(self) -> "SilentServer":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()  # a client that waits for an answer gets an error now

    def _accept(self) -> None:
        """Accept connections until the server is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            self._connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        """Read what comes first, and leave the rest."""
        try:
            if connection.recv(1):
                self.asked.set()
        except OSError:  # it was closed
            return
