"""Run everything on this machine for `make run`: web, worker, the sandbox upstream and a local S3.

With `--demo`, make one video and stop (`make demo`). All state lies in var/. A setting in the environment replaces a
part: NOVITA_API_KEY the sandbox, ARK_API_KEY the sandbox as the model maker's API, S3_BUCKET the local S3,
DATABASE_URL the SQLite database.
"""

import argparse
import os
import secrets
import shlex
import subprocess
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy import stack, state, waiting
from deploy.sandbox.owners import owner_of
from deploy.signals import Signals, Stopped
from deploy.stack import ROOT, Process, StackError
from deploy.state import VAR

IMAGE = ROOT / "deploy" / "demo" / "lighthouse.jpg"
PROMPT = "The lighthouse at dusk, the camera drifts towards it"
SANDBOX_SECONDS = 8.0
# The folder's path decides: the ports are the same at each start, and two checkouts do not take each other's ports.
FIRST_S3_PORT = 18000 + 10 * (zlib.crc32(str(VAR).encode()) % 2000)


class Run:
    """A start of all processes; `processes` holds what must be stopped."""

    def __init__(self, port: int) -> None:
        self.port, self.processes = port, list[Process]()
        self.logs = VAR / "log"
        self.env = {**os.environ, "DJANGO_SETTINGS_MODULE": "seedance_service.settings", "VAR_DIR": str(VAR)}
        self.env |= {name: str(Path(os.environ[name]).resolve()) for name in state.PATHS if os.environ.get(name)}
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start every process. Return when web and worker work; raise StackError if one of them does not."""
        self._load_or_create_secrets()
        if not state.is_set("S3_BUCKET"):
            print("Starting a local S3 ...", flush=True)
            self._start_s3()
        if not state.is_set("NOVITA_API_KEY"):
            print("Starting the sandbox upstream ...", flush=True)
            self._start_sandbox()
        print("Preparing database and bucket ...", flush=True)
        self._prepare()
        print("Starting web and worker ...", flush=True)
        web = self._add(stack.web(self.port, VAR / "static", self.logs, self.env))
        worker = self._add(stack.worker(self.logs, self.env))
        waiting.until_answers(web, f"{self.url}/livez")
        waiting.until_worker_works(worker, f"{self.url}/readyz")

    def watch(self) -> None:
        """Raise StackError as soon as a process ends by itself, which none should."""
        while True:
            for process in self.processes:
                if process.has_ended():
                    raise StackError(f"{process.name} ended. The end of {process.log}:\n{process.log_tail()}")
            time.sleep(0.5)

    def _add(self, process: Process) -> Process:
        self.processes.append(process)
        return process

    def _load_or_create_secrets(self) -> None:
        self._stored = stored = state.read()
        for name in ("SECRET_KEY", "ADMIN_PASSWORD", "SANDBOX_SECRET"):
            self.env.setdefault(name, stored.get(name) or secrets.token_urlsafe(24))
        self.env.setdefault("SEEDANCE_API_KEY", stored.get("SEEDANCE_API_KEY", ""))
        self.env["SEEDANCE_URL"] = self.url
        self.env.setdefault("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
        self.env.setdefault("SECURE_COOKIES", "off")  # plain http on loopback

    def _start_s3(self) -> None:
        # A developer's own session, and keys for another store, are nothing to the local one.
        self.env |= dict.fromkeys(("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION"), "")
        self.env |= dict.fromkeys(("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SESSION_TOKEN"), "")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self.env[name] = self._stored.get(name) or secrets.token_hex(16)
        ports = stack.seaweedfs_ports(FIRST_S3_PORT, but=self.port)
        keys = self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]
        s3 = self._add(stack.seaweedfs(VAR / "s3", self.logs, ports, *keys))
        self.env |= {"S3_BUCKET": "seedance", "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports[0]}"}
        waiting.until_answers(s3, self.env["S3_ENDPOINT_URL"])

    def _start_sandbox(self) -> None:
        port = stack.free_port(self.port + 1)
        url = f"http://127.0.0.1:{port}"
        key = "sandbox-live"  # another one than that of test keys, whose videos are not billed
        self.env |= {"NOVITA_BASE_URL": url, "NOVITA_API_KEY": key, "SANDBOX_BASE_URL": url}
        self.env |= {"NOVITA_KEY_ID": owner_of(key)}
        if not state.is_set("ARK_API_KEY"):
            self.env |= {"ARK_BASE_URL": f"{url}/api/v3", "ARK_API_KEY": "sandbox"}
        seconds = float(os.environ.get("SANDBOX_SECONDS", SANDBOX_SECONDS))
        sandbox = self._add(stack.sandbox(VAR / "sandbox", self.logs, port, seconds, self.env))
        waiting.until_answers(sandbox, f"{url}/sandbox/tasks")

    def _prepare(self) -> None:
        command = [sys.executable, "-m", "deploy.prepare"]
        result = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if result.returncode:
            raise StackError(f"Database or bucket cannot be prepared:\n{result.stderr}")
        self.env["SEEDANCE_API_KEY"] = result.stdout.strip().splitlines()[-1]
        state.write(self.env)


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"PORT is {text!r}; it takes a number from 1 to 65535.")
    if not stack.is_free(int(text)):
        raise StackError(f"Port {text} is taken by another program. Choose another one: PORT=9000 make run")
    return int(text)


def create_command(url: str, key: str, image: Path) -> str:
    """Return a line of shell that creates a video from a file."""
    body = '{\\"image\\": \\"$(base64 -w0 ' + shlex.quote(str(image)) + ')\\", \\"resolution\\": \\"480p\\", '
    body += '\\"prompt\\": \\"' + PROMPT + '\\"}'
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return f'curl -s {url}/v3/async/seedance-v1-lite-i2v {headers} -d "{body}"'


def _print_welcome(run: Run) -> None:
    key = run.env["SEEDANCE_API_KEY"]
    upstream = run.env.get("NOVITA_BASE_URL", "https://api.novita.ai")
    print(
        f"""
Seedance Service is running.

  Base URL   {run.url}
  API key    {key}
  Admin      {run.url}/admin/   admin / {run.env["ADMIN_PASSWORD"]}
  API docs   {run.url}/docs
  Upstream   {upstream}{"" if state.is_set("NOVITA_API_KEY") else " (the sandbox: no money is spent)"}
  Logs       {run.logs}

Create a video:

{create_command(run.url, key, IMAGE)}

The answer has a task_id. Read the task:

curl -s "{run.url}/v3/async/task-result?task_id=TASK_ID" -H "Authorization: Bearer {key}"

Ctrl-C stops everything.
""",
        flush=True,
    )


def _demo(env: dict[str, str]) -> int:
    command = [sys.executable, "manage.py", "generate", str(IMAGE), "--prompt", PROMPT, "--resolution", "480p"]
    command += ["-o", str(VAR / "demo.mp4"), "--poster", str(VAR / "demo.jpg")]
    code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code == 0:
        print(f"The video: {VAR / 'demo.mp4'}\nIts poster: {VAR / 'demo.jpg'}", flush=True)
    return code


def main() -> int:
    """Run the stack, or the demo beside a running stack. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="make one video, then stop")
    demo, signals = parser.parse_args().demo, Signals()
    signals.install()
    try:
        return _start(demo, signals)
    except Stopped:  # before anything was started, or once more before anything was stopped
        return 0


def _start(demo: bool, signals: Signals) -> int:
    try:
        state.check_access()
        lock = state.lock()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except BlockingIOError:
        return run_beside(demo)
    stack.adopt_orphans()
    with lock:
        return _run(demo, signals)


def run_beside(demo: bool) -> int:
    """Make the demo with the service that another `make run` has started or still starts. Return the exit code."""
    try:
        if demo:
            starter = f"The `make run` that uses {VAR}"
            waiting.until_service_works(lambda: state.read().get("SEEDANCE_URL", ""), starter)
            return _demo({**os.environ, **state.read()})
        url = state.read().get("SEEDANCE_URL", "")
        print(f"A `make run` is using {VAR} already ({url}); stop it first.", file=sys.stderr)
    except StackError as error:
        print(error, file=sys.stderr)
    except Stopped:
        print("\nStopping.", flush=True)
    return 1


def _run(demo: bool, signals: Signals) -> int:
    run = None
    try:
        run = Run(_port())
        run.start()
        if demo:
            return _demo(run.env)
        _print_welcome(run)
        run.watch()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped:
        print("\nStopping.", flush=True)
    finally:
        signals.is_closing = True
        stack.stop(run.processes if run else [], is_hurried=signals.is_hurried, alone=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
