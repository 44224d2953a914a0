"""Test the image: its Dockerfile, its entry point, malloc in web processes, and its health check."""

import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import healthcheck, malloc
from tests.deploy.tools import DEPLOY, Backend, run
from tests.support.programs import find_program


def test_the_dockerfile_passes_its_linter() -> None:
    run(find_program("hadolint"), str(DEPLOY / "Dockerfile"))


def test_the_image_runs_without_root_and_ends_its_children() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    service = text[text.index(" AS service") :]
    assert re.search(r"^USER 10001:10001$", service, re.MULTILINE)
    assert 'ENTRYPOINT ["tini", "--", "sh", "deploy/entrypoint.sh"]' in service
    assert "HEALTHCHECK" in service
    assert "--require-hashes" in text
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", service, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (DEPLOY.parent / source).exists()
        assert f"!{source}" in (DEPLOY / "Dockerfile.dockerignore").read_text()


def test_uv_is_taken_from_the_lock_with_its_hashes() -> None:
    [script] = re.findall(r"RUN (sed -n '.*') /build/dev.txt", (DEPLOY / "Dockerfile").read_text())
    output = run("bash", "-c", f"{script} requirements/dev.txt", cwd=DEPLOY.parent)
    first, *rest = output.splitlines()
    assert first.startswith("uv==")
    assert sum("--hash=sha256:" in line for line in rest) > 3
    assert [line for line in rest if not line.startswith("    ")] == []


@pytest.mark.parametrize("role", ["web", "worker"])
def test_the_entry_point_runs_the_line_of_the_procfile(role: str, tmp_path: Path) -> None:
    for name in ("granian", "python"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $@"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path), "PORT": "8123"}
    output = run("sh", str(DEPLOY / "entrypoint.sh"), role, env=env)
    assert output.startswith({"web": "granian --interface wsgi", "worker": "python manage.py worker"}[role])
    assert role == "worker" or "--port 8123" in output
    assert run("sh", str(DEPLOY / "entrypoint.sh"), "migrate", env=env) == "python manage.py migrate --noinput\n"
    assert run("sh", str(DEPLOY / "entrypoint.sh"), "echo", "a b", env=env) == "a b\n"


@pytest.mark.parametrize(("name", "below"), [("VAR_DIR", "metrics/web"), ("METRICS_DIR", "web")])
def test_counters_of_web_processes_from_the_start_before_are_removed(name: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "granian").write_text("#!/bin/sh\n")
    (tmp_path / "granian").chmod(0o755)
    (tmp_path / below).mkdir(parents=True)
    (tmp_path / below / "counter_7.db").touch()
    worker = (tmp_path / below).with_name("worker")
    worker.mkdir()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path / "var"), name: str(tmp_path)}
    run("sh", str(DEPLOY / "entrypoint.sh"), "web", env=env)
    assert not (tmp_path / below).exists()
    assert worker.exists()


MALLOC = """
import ctypes
import os

class Facts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usm fsm uord ford keep".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Facts

def has_pages_of_its_own(mib):
    before = libc.mallinfo2().hblks
    block = bytes(mib << 20)
    return libc.mallinfo2().hblks > before

has_pages_of_its_own(30)  # after that, glibc without the tunables would hold a freed block of 30 MiB
print(has_pages_of_its_own(7), has_pages_of_its_own(20), os.environ["GLIBC_TUNABLES"])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not do so")
@pytest.mark.parametrize(("environment", "last"), [({}, ""), ({"GLIBC_TUNABLES": "glibc.malloc.check=0"}, "check=0")])
def test_a_web_process_gives_large_blocks_back_to_the_system(environment: Any, last: str, tmp_path: Path) -> None:
    (tmp_path / "malloc.py").write_text(MALLOC)
    (tmp_path / "granian").write_text(f"#!/bin/sh\nexec '{sys.executable}' '{tmp_path}/malloc.py'\n")
    (tmp_path / "granian").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path), **environment}
    seven, twenty, tunables = run("sh", str(DEPLOY / "entrypoint.sh"), "web", env=env).split()
    assert (seven, twenty) == ("False", "True")
    assert tunables.endswith(last)
    assert tunables.startswith(":".join(malloc.WEB))  # `make run` starts the web process with the same values


@pytest.mark.parametrize("environment", [{}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}])
def test_a_workers_threads_share_two_arenas(environment: Any, tmp_path: Path) -> None:
    (tmp_path / "python").write_text('#!/bin/sh\necho "$GLIBC_TUNABLES"\n')
    (tmp_path / "python").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path), **environment}
    expected = [*malloc.WORKER, *environment.values()]
    assert run("sh", str(DEPLOY / "entrypoint.sh"), "worker", env=env).strip() == ":".join(expected)


def test_the_health_check_knows_the_containers_role(tmp_path: Path, monkeypatch: Any) -> None:
    first = tmp_path / "cmdline"
    first.write_bytes(b"tini\0--\0sh\0deploy/entrypoint.sh\0worker\0")
    assert healthcheck.role(first) == "worker"
    others = {"1": ["tini", "--", "sh"], "7": ["python", "manage.py", "worker"], "self": ["python", "qcluster"]}
    for number, command in others.items():
        (tmp_path / "proc" / number).mkdir(parents=True)
        (tmp_path / "proc" / number / "cmdline").write_text("\0".join([*command, ""]))
    assert not healthcheck.is_well("worker", tmp_path / "proc")
    (tmp_path / "proc" / "9").mkdir()
    (tmp_path / "proc" / "9" / "cmdline").write_text("python\0manage.py\0qcluster\0")
    (tmp_path / "proc" / "8").mkdir()  # a process that has just ended
    assert healthcheck.is_well("worker", tmp_path / "proc")
    with Backend() as backend:
        monkeypatch.setenv("PORT", str(backend.port))
        assert healthcheck.is_well("web")
    assert not healthcheck.is_well("web")
