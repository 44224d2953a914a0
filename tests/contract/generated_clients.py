"""Clients generated from openapi.json, each of which creates a generation, waits for it and downloads its video.

The generators are run with the commands of the guide's page about clients.

The programs that use the clients are in tests/sdk. The generators are installed from their locks: the Python one into
var/contract, those of TypeScript into tests/sdk/node_modules. Without node the TypeScript clients are skipped by name,
but with the variable CI that is a failure.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy import stack
from tests.contract.service import Service

DOCUMENT = stack.ROOT / "openapi.json"
GUIDE = stack.ROOT / "seedance_service" / "docs" / "guide" / "clients.md"
PROGRAMS = stack.ROOT / "tests" / "sdk"
NODE_MODULES = PROGRAMS / "node_modules"
PYTHON = stack.ROOT / "var" / "contract" / "openapi-python-client" / "bin" / "python"
IMAGE = stack.ROOT / "deploy" / "demo" / "lighthouse.jpg"
MIN_NODE = (20, 19)  # of @hey-api/openapi-ts
MAX_SECONDS = 300  # for one command; type checking is the longest


class ClientError(Exception):
    """A generator, a type check or a client failed; the message has its output."""


def failures(service: Service, folder: Path) -> list[str]:
    """Generate each client, run its program against the service, and return what went wrong."""
    messages = []
    for name, run in {"openapi-python-client": run_python, "TypeScript": run_typescript}.items():
        try:
            for client, outcome in run(service, folder / name):
                messages += [f"{client}: {message}" for message in wrong_facts(outcome)]
                print(f"{client}: created, waited for, downloaded and listed a generation")
        except ClientError as error:
            messages.append(f"{name}: {error}")
    return messages


def wrong_facts(outcome: dict[str, Any]) -> Iterator[str]:
    """Return a message for each fact that is not as it should be."""
    expected = {
        "downloaded": outcome["sha256"],
        "listed": [outcome["id"]],
        "form_camera_fixed": True,
        "form_listed": [outcome["form_id"]],
        "sound": ["succeeded", True, 3, None, None],
        "novita": "TASK_STATUS_SUCCEED",
        "refusal": "generation_not_found",
    }
    for name, value in expected.items():
        if outcome[name] != value:
            yield f"{name} is {outcome[name]!r}, not {value!r}"


def run_python(service: Service, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Generate the client of openapi-python-client, and return the outcome of its program."""
    folder.mkdir()
    shutil.copy(DOCUMENT, folder)
    # The generator formats its output with the ruff beside it.
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    run_command(PYTHON, "-m", "openapi_python_client", *arguments_of("openapi-python-client"), cwd=folder, PATH=path)
    program = PROGRAMS / "openapi_python_client.py"
    yield "openapi-python-client", _outcome(service, PYTHON, program, cwd=folder, PYTHONPATH=str(folder))


def run_typescript(service: Service, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Generate both TypeScript clients, check the types of their programs, and return the programs' outcomes."""
    node = find_node()
    if node is None or not (NODE_MODULES / "typescript").is_dir():
        reason = (
            f"node {MIN_NODE[0]}.{MIN_NODE[1]} or newer is missing, or the packages that npm installs into tests/sdk"
        )
        if os.environ.get("CI"):
            raise ClientError(f"{reason}. Install node with npm, then run `make contract`.")
        print(f"openapi-fetch, hey-api: skipped, since {reason}")
        return
    folder.mkdir()
    for source in [
        DOCUMENT,
        *PROGRAMS.glob("*.ts"),
        *PROGRAMS.glob("*.mjs"),
        PROGRAMS / "package.json",
        PROGRAMS / "tsconfig.json",
    ]:
        shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    commands = NODE_MODULES / ".bin"
    run_command(node, *arguments_of("node"), cwd=folder)
    run_command(commands / "openapi-ts", *arguments_of("npx openapi-ts"), cwd=folder)
    run_command(commands / "tsc", "--project", folder, cwd=folder)
    for client, program in {"openapi-fetch": "openapi_fetch.js", "hey-api": "hey_api.js"}.items():
        yield client, _outcome(service, node, folder / "built" / program, cwd=folder)


def arguments_of(command: str) -> list[str]:
    """Return the arguments of a command of the guide."""
    [line] = [line for line in GUIDE.read_text().splitlines() if line.startswith(f"{command} ")]
    return shlex.split(line.removeprefix(command))


def find_node() -> str | None:
    """Return the path of node, or None if there is none or only an older one."""
    node = shutil.which("node")
    version = run_command(node, "--version", cwd=PROGRAMS) if node else "v0.0.0"
    major, minor, _ = version.strip().removeprefix("v").split(".", 2)
    return node if (int(major), int(minor)) >= MIN_NODE else None


def _outcome(service: Service, *program: str | Path, cwd: Path, **env: str) -> dict[str, Any]:
    """Run a program against the service, as Alice, and return the JSON that it prints."""
    outcome: dict[str, Any] = json.loads(
        run_command(*program, service.url, service.keys["alice"], IMAGE, cwd=cwd, **env)
    )
    return outcome


def run_command(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run the command and return its output. Raise ClientError with the output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_SECONDS,
    )
    if done.returncode:
        raise ClientError(f"{Path(command[0]).name} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
