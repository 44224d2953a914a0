"""A stand-in for OpenAI's video API, from memory: POST /videos and GET /videos/ID, each answered after DELAY seconds.

`python -m tests.bench.openai_videos PORT DELAY`.
"""

import asyncio
import json
import os
import re
import sys
import time
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Server(asyncio.Protocol):
    """One connection. A request is answered once its body is there; its content is not looked at."""

    delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            found = LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._received = rest[length:]
            status = "queued" if head.startswith(b"POST") else "in_progress"
            asyncio.get_running_loop().call_later(self.delay, self._answer, status)

    def _answer(self, status: str) -> None:
        video = {"id": "video_1", "object": "video", "model": "sora-2", "status": status, "progress": 0}
        body = json.dumps({**video, "created_at": int(time.time()), "size": "720x1280", "seconds": "4"}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


async def main(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
    Server.delay = float(sys.argv[2])
    asyncio.run(main(int(sys.argv[1])))
