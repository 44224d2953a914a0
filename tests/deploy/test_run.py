"""Test the first start: `manage.py` without Django, progress of the installation, the state folder and the welcome."""

import base64
import functools
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deploy import install, run, state, waiting
from deploy.stack import Process, StackError, stop

ROOT = Path(__file__).parents[2]


UNWRITABLE = {
    "DATABASE_URL": "sqlite:////proc/seedance/db.sqlite3",
    **dict.fromkeys(("SECRET_KEY", "S3_BUCKET", "NOVITA_API_KEY"), "check"),
}


def result_of(*command: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False, cwd=ROOT)


# -- manage.py --------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds manage.py alone."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    shutil.copy(ROOT / "manage.py", folder)
    return folder


def test_manage_py_runs_with_the_python_of_the_venv_when_django_is_missing(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "venv: $@"\n')
    python.chmod(0o755)
    result = result_of(sys.executable, "-S", str(checkout / "manage.py"), "tenant", "list")
    assert (result.returncode, result.stdout) == (0, f"venv: {checkout}/manage.py tenant list\n")


def test_manage_py_without_a_venv_says_what_to_do(checkout: Path) -> None:
    result = result_of(sys.executable, "-S", str(checkout / "manage.py"), "tenant", "list")
    assert result.returncode == 1
    assert "`make run` installs everything into .venv." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["tenant list", "worker"])
def test_a_command_whose_database_cannot_be_written_says_where_it_lies(command: str) -> None:
    """A folder in /proc can be written by no user, not even by root."""
    result = result_of(sys.executable, "manage.py", *command.split(), **UNWRITABLE)
    assert result.returncode == 1
    assert "cannot write /proc/seedance, where the database lies." in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["tenant --help", "worker --help"])
def test_help_needs_no_database(command: str) -> None:
    result = result_of(sys.executable, "manage.py", *command.split(), **UNWRITABLE)
    assert (result.returncode, result.stderr) == (0, "")


# -- the installation -------------------------------------------------------------------------------------------------


def test_the_progress_of_an_installation_is_counted(tmp_path: Path) -> None:
    lock, packages = tmp_path / "run.txt", tmp_path / "packages"
    lock.write_text("a==1 \\\n    --hash=sha256:00\nb-b==2 \\\n    --hash=sha256:00\nc==3\n")
    (packages / "pip-1.dist-info").mkdir(parents=True)
    progress = install.Progress(lock, packages)
    assert progress.sentence() == "Downloading packages: 0 of 3"
    progress.read(io.StringIO("Collecting a==1 (from -r run.txt)\nRequirement already satisfied: b-b==2 in x\n"))
    assert progress.sentence() == "Downloading packages: 2 of 3 b-b"
    progress.read(io.StringIO("Installing collected packages: c, a\n"))
    (packages / "a-1.dist-info").mkdir()
    assert progress.sentence() == "Unpacking packages: 1 of 2"


def test_an_installation_that_fails_prints_pips_reason(tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_text("some-package==1\n")
    result = result_of(sys.executable, "deploy/install.py", str(tmp_path / "run.txt"), PIP_NO_INDEX="1")
    assert result.returncode == 1
    assert result.stdout.startswith("Downloading packages: 0 of 1\n")
    assert "The installation failed." in result.stderr
    assert "No matching distribution found for some-package==1" in result.stderr


def interrupted(started: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Return the result of a command that gets Ctrl-C as soon as it has made a file or a folder."""
    pipe = subprocess.PIPE
    # A shell that runs these tests in the background has them ignore Ctrl-C, and their children with them.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, preexec_fn=heed) as process:
        while not started.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def test_ctrl_c_stops_the_creation_of_an_environment_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    result = interrupted(folder / "bin", sys.executable, "deploy/install.py", "--create", str(folder))
    assert (result.returncode, result.stdout, result.stderr) == (130, "\nStopping.\n", "")
    assert not folder.exists()


def test_ctrl_c_stops_an_installation_and_pip_with_it(tmp_path: Path) -> None:
    lock, process = tmp_path / "run.txt", tmp_path / "process"
    lock.write_text("a==1\n")
    pip = "import os, sys, time; os.symlink(f'/proc/{os.getpid()}', sys.argv[1]); time.sleep(60)"
    command = [sys.executable, "-c", pip, str(process)]
    code = f"import sys; from deploy import install; install.PIP = {command}; sys.exit(install.main([{str(lock)!r}]))"
    result = interrupted(process, sys.executable, "-c", code)
    assert (result.returncode, result.stderr) == (130, "")
    assert result.stdout.endswith("\nStopping.\n")
    assert process.is_symlink()
    assert not process.exists()


def test_a_package_that_an_interruption_left_half_installed_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.txt").touch()
    for name, file in {"half": "METADATA", "whole": "RECORD"}.items():
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info" / file).touch()
    monkeypatch.setattr(install, "PIP", [sys.executable, "-c", ""])
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: str(tmp_path))
    assert install.install(tmp_path / "run.txt") == 0
    assert [path.name for path in tmp_path.glob("*.dist-info")] == ["whole-1.dist-info"]


# -- the state folder -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_behind", [False, True])
def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, left_behind: bool) -> None:
    """The folder /proc and a file that is not there can be written by no user, not even by root."""
    folder = tmp_path if left_behind else Path("/proc/seedance")
    if left_behind:
        (tmp_path / "db.sqlite3").symlink_to("/proc/seedance/db.sqlite3")
    result = result_of(sys.executable, "deploy/run.py", VAR_DIR=str(folder))
    assert result.returncode == 1
    assert f"cannot write {folder / 'db.sqlite3' if left_behind else folder}." in result.stderr
    assert "VAR_DIR=/path/to/folder make run" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# -- the start --------------------------------------------------------------------------------------------------------


class Readyz(http.server.BaseHTTPRequestHandler):
    """A /readyz that reports a worker's heartbeat from the third answer on."""

    answers: ClassVar[int] = 0

    def do_GET(self) -> None:
        Readyz.answers += 1
        is_ready = Readyz.answers > 2
        body = json.dumps({"ok": is_ready, "checks": {"worker": {"ok": is_ready}}}).encode()
        self.send_response(200 if is_ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def readyz() -> Iterator[str]:
    Readyz.answers = 0
    with http.server.HTTPServer(("127.0.0.1", 0), Readyz) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()


def test_a_start_waits_for_the_workers_heartbeat(tmp_path: Path, readyz: str) -> None:
    worker = Process("worker", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path)
    try:
        waiting.until_worker_works(worker, readyz)
        assert Readyz.answers == 3
    finally:
        stop([worker])


def test_a_worker_that_ends_at_its_start_ends_the_start_with_its_log(tmp_path: Path) -> None:
    worker = Process("worker", [sys.executable, "-c", "print('no database')"], os.environ, tmp_path)
    with pytest.raises(StackError, match=r"(?s)worker ended at its start.*no database"):
        waiting.until_worker_works(worker, "http://127.0.0.1:9/readyz")
    stop([worker])


def test_a_demo_waits_for_the_service_that_another_start_is_starting(
    tmp_path: Path, readyz: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen = readyz.removesuffix("/readyz"), list[dict[str, str]]()
    monkeypatch.setattr(state, "LOCAL_ENV", tmp_path / "local.env")
    monkeypatch.setattr(run, "_demo", lambda env: seen.append(env) or 0)
    threading.Timer(0.5, (tmp_path / "local.env").write_text, [f"SEEDANCE_URL={url}\n"]).start()
    assert run.run_beside(demo=True) == 0
    assert Readyz.answers == 3
    assert seen[0]["SEEDANCE_URL"] == url


def test_a_demo_beside_a_start_that_takes_too_long_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "LOCAL_ENV", tmp_path / "local.env")
    monkeypatch.setattr(waiting, "MAX_START_SECONDS", 0.3)
    assert run.run_beside(demo=True) == 1
    assert "is still starting" in capsys.readouterr().err


def test_the_printed_command_works_in_a_folder_with_a_space(tmp_path: Path) -> None:
    image = tmp_path / "a folder" / "it's.jpg"
    image.parent.mkdir()
    image.write_bytes(b"image")
    command = run.create_command("http://127.0.0.1:8000", "key", image)
    result = subprocess.run(
        ["bash", "-c", 'curl() { printf "%s" "${@: -1}"; }\n' + command], capture_output=True, text=True, check=True
    )
    assert base64.b64decode(json.loads(result.stdout)["image"]) == b"image"
