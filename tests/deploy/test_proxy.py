"""Test deploy/proxy with a real nginx: sizes of bodies, hosts that are down, and hidden paths."""

import os
import socket
import subprocess
import time
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest

from deploy.stack import free_port
from tests.deploy.tools import DEPLOY, Backend, run
from tests.support.programs import find_program


class Proxy:
    """An nginx with deploy/proxy's template, in front of some hosts."""

    def __init__(self, folder: Path, hosts: list[str]) -> None:
        self.port = free_port(27_000 + os.getpid() % 900)
        self.url = f"http://127.0.0.1:{self.port}"
        servers = "".join(f"server {host} max_fails=0;" for host in hosts)
        values = {"WEB_HOSTS": servers, "PROXY_PORT": f"127.0.0.1:{self.port}", "PROXY_SCHEME": "http"}
        variables = {name: values.get(name, f"${{{name}}}") for name in ("WEB_HOSTS", "PROXY_PORT", "PROXY_SCHEME")}
        template = (DEPLOY / "proxy" / "nginx.conf.template").read_text()
        (folder / "site.conf").write_text(Template(template).safe_substitute(variables))
        places = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.conf = folder / "nginx.conf"
        self.conf.write_text(
            f"daemon off; pid {folder}/pid; error_log stderr; user {os.environ.get('USER') or 'root'};"
            f"events {{}} http {{ {places} include {folder}/site.conf; }}"
        )

    def __enter__(self) -> "Proxy":
        nginx = find_program("nginx", package="nginx-light")
        run(nginx, "-t", "-c", str(self.conf))
        self._child = subprocess.Popen(
            [nginx, "-c", str(self.conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("nginx does not listen")

    def __exit__(self, *args: object) -> None:
        self._child.terminate()
        self._child.wait(10)


@pytest.fixture
def proxied(tmp_path: Path) -> Any:
    with (
        Backend() as backend,
        Proxy(tmp_path, [f"127.0.0.1:{free_port(26_000)}", f"127.0.0.1:{backend.port}"]) as proxy,
    ):
        yield proxy


def test_the_proxy_accepts_large_bodies_only_on_routes_that_take_images(proxied: Proxy) -> None:
    large, too_large = b"x" * 2_000_000, b"x" * (82 * 1024 * 1024)
    generation = "01a2128a-8ce7-7555-91ad-a6e727180044"
    for path in ("/v1/generations", f"/v1/generations/{generation}/rerun", "/v3/async/seedance-v1-lite-i2v"):
        answer = httpx.post(proxied.url + path, content=large)
        assert (answer.status_code, answer.json()["bytes"]) == (200, len(large))
    assert httpx.post(f"{proxied.url}/v1/generations", content=too_large).status_code == 413
    for path in ("/v1/webhooks", f"/v1/generations/{generation}/cancel", "/admin/login/", "/v1/generations/"):
        assert httpx.post(proxied.url + path, content=large).status_code == 413


def test_the_proxy_skips_a_host_that_is_down(proxied: Proxy) -> None:
    """Ask a proxy of which one host is down, as while that host is replaced."""
    assert {httpx.post(f"{proxied.url}/v1/generations", content=b"{}").status_code for _ in range(20)} == {200}


def test_the_proxy_replaces_the_callers_address_and_hides_internal_paths(proxied: Proxy) -> None:
    answer = httpx.get(f"{proxied.url}/v1/limits", headers={"X-Forwarded-For": "203.0.113.7"}).json()
    assert answer["forwarded"] == ["127.0.0.1"]
    for path in ("/metrics", "/livez", "/readyz"):
        assert httpx.get(proxied.url + path).status_code == 404
    assert httpx.get(f"{proxied.url}/proxy").status_code == 204
