"""`make run`: web, worker, the sandbox upstream and a local S3, all of whose state lies in var/. `--demo`: `make demo`.

What the environment names already, it uses: NOVITA_API_KEY (no sandbox), S3_BUCKET (no local S3), DATABASE_URL.
"""

import argparse
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy import stack
from deploy.stack import ROOT, Process, StackError

VAR = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
LOCAL_ENV = VAR / "local.env"
PICTURE = ROOT / "deploy" / "demo" / "lighthouse.jpg"
PROMPT = "The lighthouse at dusk, the camera drifts towards it"
# What LOCAL_ENV keeps for the next start, and for a `make demo` beside this one.
KEPT = "SECRET_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY ADMIN_PASSWORD SEEDANCE_API_KEY SANDBOX_SECRET".split()
KEPT += "SEEDANCE_URL S3_BUCKET S3_ENDPOINT_URL ALLOWED_HOSTS SECURE_COOKIES FETCH_ALLOW_HOSTS DATABASE_URL".split()
KEPT_OF_SANDBOX = ["NOVITA_BASE_URL", "NOVITA_API_KEY", "SANDBOX_BASE_URL"]
SANDBOX_SECONDS = 8.0
# By the folder: stable from run to run, and two checkouts that start at once do not reach for the same ones.
FIRST_S3_PORT = 18000 + 10 * (zlib.crc32(str(VAR).encode()) % 2000)


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


class Run:
    """One start of everything; what is started is on `processes` until it is stopped."""

    def __init__(self, port: int) -> None:
        self.port, self.processes = port, list[Process]()
        self.logs = VAR / "log"
        self.env = {**os.environ, "DJANGO_SETTINGS_MODULE": "seedance_service.settings", "VAR_DIR": str(VAR)}
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        self._settle_secrets()
        if not _given("S3_BUCKET"):
            self._start_s3()
        if not _given("NOVITA_API_KEY"):
            self._start_sandbox()
        self._prepare()
        web = self._add(stack.web(self.port, VAR / "static", self.logs, self.env))
        self._add(stack.worker(self.logs, self.env))
        stack.wait_until_answers(web, f"{self.url}/livez")

    def watch(self) -> None:
        """Until one of them ends by itself, which none should."""
        while True:
            for process in self.processes:
                if process.has_ended():
                    raise StackError(f"{process.name} ended. Its last words:\n{process.last_words()}")
            time.sleep(0.5)

    def _add(self, process: Process) -> Process:
        self.processes.append(process)
        return process

    def _settle_secrets(self) -> None:
        known = _read_env(LOCAL_ENV)
        for name in ("SECRET_KEY", "ADMIN_PASSWORD", "SANDBOX_SECRET"):
            self.env.setdefault(name, known.get(name) or secrets.token_urlsafe(24))
        self.env.setdefault("SEEDANCE_API_KEY", known.get("SEEDANCE_API_KEY", ""))
        self.env["SEEDANCE_URL"] = self.url
        self.env.setdefault("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
        self.env.setdefault("SECURE_COOKIES", "off")  # plain http on loopback
        self._known = known

    def _start_s3(self) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self.env[name] = self._known.get(name) or secrets.token_hex(16)
        ports = stack.seaweedfs_ports(FIRST_S3_PORT, but=self.port)
        keys = self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]
        s3 = self._add(stack.seaweedfs(VAR / "s3", self.logs, ports, *keys))
        self.env |= {"S3_BUCKET": "seedance", "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}"}
        stack.wait_until_answers(s3, self.env["S3_ENDPOINT_URL"])

    def _start_sandbox(self) -> None:
        port = stack.free_port(self.port + 1)
        url = f"http://127.0.0.1:{port}"
        self.env |= {"NOVITA_BASE_URL": url, "NOVITA_API_KEY": "sandbox", "SANDBOX_BASE_URL": url}
        # The sandbox, and nothing else of this machine, may be read by the guarded fetch.
        given = os.environ.get("FETCH_ALLOW_HOSTS")
        self.env["FETCH_ALLOW_HOSTS"] = ",".join(filter(None, [given, f"127.0.0.1:{port}"]))
        seconds = float(os.environ.get("SANDBOX_SECONDS", SANDBOX_SECONDS))
        sandbox = self._add(stack.sandbox(VAR / "sandbox", self.logs, port, seconds, self.env))
        stack.wait_until_answers(sandbox, f"{url}/sandbox/tasks")

    def _prepare(self) -> None:
        command = [sys.executable, "-m", "deploy.prepare"]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"The database or the bucket can not be prepared:\n{done.stderr}")
        self.env["SEEDANCE_API_KEY"] = done.stdout.strip().splitlines()[-1]
        _write_env(LOCAL_ENV, self.env)


def _given(name: str) -> bool:
    """As the settings see it: by its value or by the path of a file that holds it."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def _read_env(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _write_env(path: Path, env: dict[str, str]) -> None:
    names = KEPT if _given("NOVITA_API_KEY") else KEPT + KEPT_OF_SANDBOX
    path.touch(0o600)
    path.write_text("".join(f"{name}={env[name]}\n" for name in names if env.get(name)))


def _lock() -> IO[str]:
    """Held while a stack runs on var/. Raises BlockingIOError where one does."""
    VAR.mkdir(parents=True, exist_ok=True)
    lock = (VAR / "run.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"PORT is {text!r}; it takes a number from 1 to 65535.")
    if not stack.is_free(int(text)):
        raise StackError(f"Port {text} is taken by another program. Choose another one: PORT=9000 make run")
    return int(text)


def _greet(run: Run) -> None:
    key = run.env["SEEDANCE_API_KEY"]
    upstream = run.env.get("NOVITA_BASE_URL", "https://api.novita.ai")
    body = '{\\"image\\": \\"$(base64 -w0 ' + str(PICTURE) + ')\\", \\"resolution\\": \\"480p\\", '
    body += '\\"prompt\\": \\"' + PROMPT + '\\"}'
    print(
        f"""
Seedance Service is running.

  Base URL   {run.url}
  API key    {key}
  Admin      {run.url}/admin/   admin / {run.env["ADMIN_PASSWORD"]}
  API docs   {run.url}/docs
  Upstream   {upstream}{"" if _given("NOVITA_API_KEY") else " (the sandbox: no money is spent)"}
  Logs       {run.logs}

Ask for a video:

curl -s {run.url}/v3/async/seedance-v1-lite-i2v -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
-d "{body}"

and, with the task_id that it answers, see how far it is:

curl -s "{run.url}/v3/async/task-result?task_id=TASK_ID" -H "Authorization: Bearer {key}"

Ctrl-C stops everything.
""",
        flush=True,
    )


def _demo(env: dict[str, str]) -> int:
    command = [sys.executable, "manage.py", "generate", str(PICTURE), "--prompt", PROMPT, "--resolution", "480p"]
    command += ["-o", str(VAR / "demo.mp4"), "--poster", str(VAR / "demo.jpg")]
    code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code == 0:
        print(f"The video: {VAR / 'demo.mp4'}\nIts poster: {VAR / 'demo.jpg'}", flush=True)
    return code


def _stopped(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends at once
    raise Stopped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="make one video, then stop")
    demo = parser.parse_args().demo
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    try:
        lock = _lock()
    except BlockingIOError:
        if demo:
            return _demo({**os.environ, **_read_env(LOCAL_ENV)})
        url = _read_env(LOCAL_ENV).get("SEEDANCE_URL", "")
        print(f"A `make run` is using {VAR} already ({url}); stop it first.", file=sys.stderr)
        return 1
    stack.adopt_orphans()
    with lock:
        return _run(demo)


def _run(demo: bool) -> int:
    run = None
    try:
        run = Run(_port())
        run.start()
        if demo:
            return _demo(run.env)
        _greet(run)
        run.watch()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped:
        print("\nStopping.", flush=True)
    finally:
        if run:
            stack.stop(run.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
