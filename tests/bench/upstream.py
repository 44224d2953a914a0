"""An upstream that costs next to nothing: bare asyncio, in a process of its own on the load's core.

Task `up-N` of COUNT is done N / COUNT of SPREAD seconds after BEGIN (by the clock, in seconds since the epoch; 0:
never), with a whole MP4 of SIZE bytes. `python -m tests.bench.upstream PORT BEGIN SPREAD COUNT SIZE`.
"""

import asyncio
import json
import os
import sys
import time

PORT, BEGIN, SPREAD, COUNT, SIZE = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:6])
ASKED = "the-task-that-was-asked-for"  # in a prepared answer; the id takes its place, with spaces behind it
PROCESSING = {"task_id": ASKED, "status": "TASK_STATUS_PROCESSING", "progress_percent": 40}


def done_at(number: int) -> float:
    """Return when a task is done, in seconds since the epoch."""
    return BEGIN + SPREAD * number / COUNT


def answer(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body


def answer_of(task: dict[str, object], url: str = "") -> bytes:
    videos = [{"video_url": url, "video_url_ttl": "3600", "video_type": "mp4"}] if url else []
    return answer(json.dumps({"extra": {"seed": "7"}, "task": task, "videos": videos}).encode())


class Server(asyncio.Protocol):
    processing = answer_of(PROCESSING)
    done = answer_of({"task_id": ASKED, "status": "TASK_STATUS_SUCCEED"}, f"http://127.0.0.1:{PORT}/video.mp4")
    video = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._seen = transport, b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            head, self._seen = self._seen.split(b"\r\n\r\n", 1)
            self._transport.write(self._answer(head.split(b" ", 2)[1].decode()))

    def _answer(self, path: str) -> bytes:
        if path.startswith("/video"):
            return self.video
        task_id = path.rpartition("=")[2]
        number = int(task_id.rpartition("-")[2] or 0)
        prepared = self.done if BEGIN and time.time() >= done_at(number) else self.processing
        return prepared.replace(f'"{ASKED}"'.encode(), f'"{task_id}"'.ljust(len(ASKED) + 2).encode())


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", PORT)
    await server.serve_forever()


def video(size: int) -> bytes:
    """Return a video with a large box behind its frames."""
    from tests.support.images import mp4

    film = mp4()
    return film + (size - len(film)).to_bytes(4, "big") + b"free" + bytes(size - len(film) - 8)


if __name__ == "__main__":
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
    if SIZE:
        Server.video = answer(video(SIZE), b"video/mp4")
    asyncio.run(main())
