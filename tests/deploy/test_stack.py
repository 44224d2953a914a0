"""Test the processes of a local stack: they listen on their own ports, and none is left behind."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import stack, waiting
from deploy.stack import Process, StackError

SERVER = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def python(code: str, logs: Path) -> Process:
    return Process("child", [sys.executable, "-c", code], os.environ, logs)


def test_a_taken_port_is_not_free(port: int) -> None:
    assert not stack.is_free(port)
    assert stack.free_port(port) != port


def test_seaweedfs_gets_five_ports_whose_grpc_ports_are_free_too() -> None:
    ports = stack.seaweedfs_ports(20_000, but=20_001)
    assert len(set(ports)) == 5
    assert 20_001 not in ports
    assert all(stack.is_free(port + stack.GRPC_OFFSET) for port in ports)


def test_no_program_of_the_stack_is_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of a script in .venv/bin names the folder of its installation: a moved checkout cannot run it."""
    programs = list[str]()
    monkeypatch.setattr(stack, "Process", lambda name, command, *rest: programs.append(command[0]))
    env = {"VAR_DIR": str(tmp_path)}
    stack.seaweedfs(tmp_path / "s3", tmp_path, [1, 2, 3, 4, 5], "key", "secret")
    stack.sandbox(tmp_path, tmp_path, 6, 0, env)
    stack.web(7, tmp_path, tmp_path, env)
    stack.worker(tmp_path, env)
    assert len(programs) == 4
    assert [program for program in programs if Path(program).read_bytes()[:2] == b"#!"] == []


def test_a_start_waits_for_the_processs_own_answer(tmp_path: Path) -> None:
    port = stack.free_port(9_000 + os.getpid() % 900)
    process = python(SERVER.format(port=port), tmp_path)
    waiting.until_answers(process, f"http://127.0.0.1:{port}/")
    assert process.listens_on(port)
    stack.stop([process])
    assert process.has_ended()


def test_an_answer_of_another_program_is_not_taken_for_the_processs_own(tmp_path: Path, port: int) -> None:
    process = python("import time; time.sleep(0.5); print('I could not bind')", tmp_path)
    with pytest.raises(StackError, match="I could not bind"):
        waiting.until_answers(process, f"http://127.0.0.1:{port}/")
    stack.stop([process])


def test_a_stop_leaves_other_processes_running(tmp_path: Path) -> None:
    """An S3 of all tests goes on, for example, while one test starts and stops a process of its own."""
    beside, stopped = (python("import time; time.sleep(60)", tmp_path / name) for name in ("beside", "stopped"))
    stack.stop([stopped])
    assert not beside.has_ended()
    stack.stop([beside])
    assert beside.has_ended()


def test_the_log_of_the_start_before_stays(tmp_path: Path) -> None:
    for word in ("first", "second"):
        stack.stop([python(f"print('{word}')", tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["child.log", "child.log.1"]


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", stubborn]
    process = Process("stubborn", command, os.environ, tmp_path, stop_seconds=0.5)
    ends = time.monotonic() + 10
    while "up" not in process.log_tail() and time.monotonic() < ends:
        time.sleep(0.02)
    stack.stop([process])
    assert process.has_ended()
    assert "stubborn does not stop; it is killed." in capfd.readouterr().err
