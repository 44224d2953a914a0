"""deploy/: image, compose, Kubernetes, Terraform and proxy, as far as they can be judged without their engines."""

import http.server
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from string import Template
from typing import Any

import hcl2
import httpx
import kubernetes_validate
import pytest
import yaml

from deploy import healthcheck, stack
from deploy.stack import free_port
from tests.service.docs.test_documents import SETTINGS
from tests.support.programs import find_program

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
API = "1.33"  # of Kubernetes, whose schemas are asked
OURS = ("web-1", "web-2", "worker-1", "worker-2", "migrate", "bucket", "sandbox")


def ran(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- the image --------------------------------------------------------------------------------------------------------


def test_the_dockerfile_passes_its_linter() -> None:
    ran(find_program("hadolint"), str(DEPLOY / "Dockerfile"))


def test_the_image_runs_as_nobody_special_and_ends_its_children() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    service = text[text.index(" AS service") :]
    assert re.search(r"^USER 10001:10001$", service, re.MULTILINE)
    assert 'ENTRYPOINT ["tini", "--", "sh", "deploy/entrypoint.sh"]' in service
    assert "HEALTHCHECK" in service
    assert "--require-hashes" in text
    wanted = re.findall(r"^COPY (?!--)(.+) \S+$", service, re.MULTILINE)
    for source in " ".join(wanted).split():
        assert (DEPLOY.parent / source).exists()
        assert f"!{source}" in (DEPLOY / "Dockerfile.dockerignore").read_text()


def test_uv_is_taken_from_the_lock_with_its_hashes() -> None:
    [script] = re.findall(r"RUN (sed -n '.*') /build/dev.txt", (DEPLOY / "Dockerfile").read_text())
    told = ran("bash", "-c", f"{script} requirements/dev.txt", cwd=DEPLOY.parent)
    first, *rest = told.splitlines()
    assert first.startswith("uv==")
    assert sum("--hash=sha256:" in line for line in rest) > 3
    assert [line for line in rest if not line.startswith("    ")] == []


@pytest.mark.parametrize("role", ["web", "worker"])
def test_the_entry_point_runs_the_line_of_the_procfile(role: str, tmp_path: Path) -> None:
    for name in ("granian", "python"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $@"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path), "PORT": "8123"}
    told = ran("sh", str(DEPLOY / "entrypoint.sh"), role, env=env)
    assert told.startswith({"web": "granian --interface wsgi", "worker": "python manage.py worker"}[role])
    assert role == "worker" or "--port 8123" in told
    assert ran("sh", str(DEPLOY / "entrypoint.sh"), "migrate", env=env) == "python manage.py migrate --noinput\n"
    assert ran("sh", str(DEPLOY / "entrypoint.sh"), "echo", "a b", env=env) == "a b\n"


@pytest.mark.parametrize(("name", "below"), [("VAR_DIR", "metrics/web"), ("METRICS_DIR", "web")])
def test_what_the_web_processes_of_the_start_before_have_counted_is_removed(
    name: str, below: str, tmp_path: Path
) -> None:
    (tmp_path / "granian").write_text("#!/bin/sh\n")
    (tmp_path / "granian").chmod(0o755)
    (tmp_path / below).mkdir(parents=True)
    (tmp_path / below / "counter_7.db").touch()
    worker = (tmp_path / below).with_name("worker")
    worker.mkdir()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path / "var"), name: str(tmp_path)}
    ran("sh", str(DEPLOY / "entrypoint.sh"), "web", env=env)
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

has_pages_of_its_own(30)  # by which glibc would learn to keep a block of 30 MiB
print(has_pages_of_its_own(7), has_pages_of_its_own(20), os.environ["GLIBC_TUNABLES"])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such habit")
@pytest.mark.parametrize(("given", "last"), [({}, ""), ({"GLIBC_TUNABLES": "glibc.malloc.check=0"}, "check=0")])
def test_a_web_process_gives_large_blocks_back_to_the_system(given: Any, last: str, tmp_path: Path) -> None:
    (tmp_path / "malloc.py").write_text(MALLOC)
    (tmp_path / "granian").write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/malloc.py\n")
    (tmp_path / "granian").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VAR_DIR": str(tmp_path), **given}
    seven, twenty, tunables = ran("sh", str(DEPLOY / "entrypoint.sh"), "web", env=env).split()
    assert (seven, twenty) == ("False", "True")
    assert tunables.endswith(last)
    assert tunables.startswith(":".join(stack.MALLOC_TUNABLES))  # `make run` starts it with the same


def test_the_health_check_asks_what_the_container_is_for(tmp_path: Path, monkeypatch: Any) -> None:
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
    (tmp_path / "proc" / "8").mkdir()  # it has ended meanwhile
    assert healthcheck.is_well("worker", tmp_path / "proc")
    with Backend() as backend:
        monkeypatch.setenv("PORT", str(backend.port))
        assert healthcheck.is_well("web")
    assert not healthcheck.is_well("web")


# -- compose ----------------------------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_compose_takes_its_file() -> None:
    """By its second version where there is one; the first knows no `name`."""
    text = (DEPLOY / "compose.yaml").read_text()
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        command = [docker, "compose"]
    else:
        command = [find_program("docker-compose", package="docker-compose")]
        text = re.sub(r"^name:.*\n", "", text, flags=re.MULTILINE)
    ran(*command, "-f", "-", "--project-directory", str(DEPLOY), "config", "-q", input=text)


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_may_do_little(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_container_is_one(name: str) -> None:
    environment = set(compose()["services"][name]["environment"]) - {"DJANGO_SETTINGS_MODULE"}
    assert {variable.removesuffix("_FILE") for variable in environment} <= set(SETTINGS)
    secret = [variable for variable in environment if re.search("KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL", variable)]
    assert [variable for variable in secret if not variable.endswith("_FILE")] == []


def test_there_are_two_of_each_a_slot_for_each_worker_and_a_route_to_each_web() -> None:
    services = compose()["services"]
    assert services["web-1"]["environment"]["SWEEP_SLOTS"] == "2"
    for number in (1, 2):
        assert services[f"web-{number}"]["command"] == ["web"]
        assert services[f"worker-{number}"]["command"] == ["worker"]
        assert f"web-{number}:8000" in services["proxy"]["environment"]["WEB_HOSTS"]


def test_secrets_are_made_once_and_lie_in_files(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    for _ in range(2):
        ran("sh", str(tmp_path / "secrets.sh"))
        made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {entry["file"].removeprefix("./secrets/") for entry in compose()["secrets"].values()} == set(made)
    assert made["database_password"] in made["database_url"]
    [identity] = json.loads(made["s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": made["aws_access_key_id"], "secretKey": made["aws_secret_access_key"]}
    ]
    assert len(made["secret_key"]) == 64


# -- Kubernetes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The example overlay by Kustomize, with secrets of no worth."""
    kubectl = find_program("kubectl")
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    (folder / "example" / "secrets").mkdir()
    for name in ("secret_key", "database_url", "novita_api_key", "metrics_token"):
        (folder / "example" / "secrets" / name).write_text("x")
    return list(yaml.safe_load_all(ran(kubectl, "kustomize", str(folder / "example"))))


def manifests() -> list[dict[str, Any]]:
    files = [path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [one for path in sorted(files) for one in yaml.safe_load_all(path.read_text())]


def named(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [one] = (one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return one


@pytest.mark.parametrize("one", manifests(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_manifest_is_as_the_api_has_it(one: dict[str, Any]) -> None:
    kubernetes_validate.validate(one, API, strict=True)


def test_what_the_overlay_makes_is_as_the_api_has_it(rendered: list[dict[str, Any]]) -> None:
    for one in rendered:
        kubernetes_validate.validate(one, API, strict=True)
    assert len(rendered) == len(manifests()) + 1  # the Secret
    web = named(rendered, "Deployment", "seedance-web")["spec"]["template"]
    assert web["spec"]["containers"][0]["image"] == "registry.example.com/seedance-service:0.1.0"
    assert web["spec"]["volumes"][0]["secret"]["secretName"].startswith("seedance-")
    settings = named(rendered, "ConfigMap", "seedance-settings")["data"]
    assert settings["S3_BUCKET"] == "example-seedance-videos"
    assert {name.removesuffix("_FILE") for name in settings} <= set(SETTINGS)


@pytest.mark.parametrize(
    ("kind", "name"), [("Deployment", "seedance-web"), ("Deployment", "seedance-worker"), ("Job", "seedance-migrate")]
)
def test_a_pod_may_do_little(kind: str, name: str) -> None:
    pod = named(manifests(), kind, name)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_web_is_asked_whether_it_is_ready_and_the_worker_whether_it_is_there() -> None:
    web, worker = (named(manifests(), "Deployment", f"seedance-{role}") for role in ("web", "worker"))
    [container] = web["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz?without=worker"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    [container] = worker["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["exec"]["command"] == ["python", "deploy/healthcheck.py"]
    for role in ("web", "worker"):
        assert named(manifests(), "PodDisruptionBudget", f"seedance-{role}")["spec"]["minAvailable"] == 1


def test_workers_grow_by_the_queues_depth_and_have_a_slot_each() -> None:
    scaler = named(manifests(), "HorizontalPodAutoscaler", "seedance-worker")["spec"]
    assert scaler["metrics"][0]["external"]["metric"]["name"] == "seedance_generations_due"
    slots = named(manifests(), "ConfigMap", "seedance-settings")["data"]["SWEEP_SLOTS"]
    assert scaler["maxReplicas"] == int(slots)


# -- Terraform --------------------------------------------------------------------------------------------------------


def terraform() -> list[dict[str, Any]]:
    found = []
    for path in sorted((DEPLOY / "terraform").glob("*.tf")):
        with path.open() as file:
            found.append(json.loads(json.dumps(hcl2.load(file)).replace('\\"', "")))
    return found


def blocks(kind: str, of: str, name: str) -> dict[str, Any]:
    [one] = (
        block[of][name] for part in terraform() for block in part.get(kind, []) if of in block and name in block[of]
    )
    return dict(one)


def test_terraform_is_formatted() -> None:
    ran(find_program("terraform"), "fmt", "-check", "-diff", str(DEPLOY / "terraform"))


def test_the_bucket_is_private_and_refuses_what_is_old_or_in_the_clear() -> None:
    block = blocks("resource", "aws_s3_bucket_public_access_block", "videos")
    assert [block[name] for name in block if name.startswith(("block_", "ignore_", "restrict_"))] == [True] * 4
    statements = {one["sid"]: one for one in blocks("data", "aws_iam_policy_document", "bucket")["statement"]}
    assert {one["effect"] for one in statements.values()} == {"Deny"}
    conditions = {
        sid: {(c["test"], c["variable"]): c["values"] for c in one["condition"]} for sid, one in statements.items()
    }
    assert conditions["OnlyTls"] == {("Bool", "aws:SecureTransport"): ["false"]}
    assert conditions["OnlyTls12OrNewer"] == {("NumericLessThan", "s3:TlsVersion"): ["1.2"]}
    [age] = conditions["NoOldSignature"]["NumericGreaterThan", "s3:signatureAge"]
    assert "var.signed_url_ttl * 1000" in age
    [rule, _] = blocks("resource", "aws_s3_bucket_lifecycle_configuration", "videos")["rule"]
    assert rule["abort_incomplete_multipart_upload"][0]["days_after_initiation"] == 7


def test_what_faces_callers_can_write_no_video() -> None:
    web = blocks("data", "aws_iam_policy_document", "web")["statement"]
    puts = [resource for one in web if "s3:PutObject" in one["actions"] for resource in one["resources"]]
    assert len(puts) == 1
    assert puts[0].endswith("/inputs/*")
    worker = blocks("data", "aws_iam_policy_document", "worker")["statement"]
    assert {action for one in worker for action in one["actions"]} >= {
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:AbortMultipartUpload",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:SendMessage",
    }


# -- the proxy --------------------------------------------------------------------------------------------------------


class Backend:
    """Answers everything, and says how long the body was."""

    def __enter__(self) -> "Backend":
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = {"bytes": len(body), "forwarded": self.headers.get_all("X-Forwarded-For")}
                answer = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """nginx with deploy/proxy's template, before those hosts."""

    def __init__(self, folder: Path, hosts: list[str]) -> None:
        self.port = free_port(27_000 + os.getpid() % 900)
        self.url = f"http://127.0.0.1:{self.port}"
        named = "".join(f"server {host} max_fails=0;" for host in hosts)
        facts = {"WEB_HOSTS": named, "PROXY_PORT": f"127.0.0.1:{self.port}", "PROXY_SCHEME": "http"}
        known = {name: facts.get(name, f"${{{name}}}") for name in ("WEB_HOSTS", "PROXY_PORT", "PROXY_SCHEME")}
        template = (DEPLOY / "proxy" / "nginx.conf.template").read_text()
        (folder / "site.conf").write_text(Template(template).safe_substitute(known))
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
        ran(nginx, "-t", "-c", str(self.conf))
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
    with Backend() as backend, Proxy(tmp_path, [f"127.0.0.1:{free_port(26_000)}", f"127.0.0.1:{backend.port}"]) as it:
        yield it


def test_the_proxy_lets_a_picture_through_where_one_is_posted_and_nowhere_else(proxied: Proxy) -> None:
    large, too_large = b"x" * 2_000_000, b"x" * (82 * 1024 * 1024)
    generation = "01a2128a-8ce7-7555-91ad-a6e727180044"
    for path in ("/v1/generations", f"/v1/generations/{generation}/rerun", "/v3/async/seedance-v1-lite-i2v"):
        answer = httpx.post(proxied.url + path, content=large)
        assert (answer.status_code, answer.json()["bytes"]) == (200, len(large))
    assert httpx.post(f"{proxied.url}/v1/generations", content=too_large).status_code == 413
    for path in ("/v1/webhooks", f"/v1/generations/{generation}/cancel", "/admin/login/", "/v1/generations/"):
        assert httpx.post(proxied.url + path, content=large).status_code == 413


def test_the_proxy_passes_over_a_host_that_is_not_there(proxied: Proxy) -> None:
    """Of the two hosts that it knows, one is being replaced."""
    assert {httpx.post(f"{proxied.url}/v1/generations", content=b"{}").status_code for _ in range(20)} == {200}


def test_the_proxy_believes_no_caller_and_shows_what_is_within_to_none(proxied: Proxy) -> None:
    told = httpx.get(f"{proxied.url}/v1/limits", headers={"X-Forwarded-For": "203.0.113.7"}).json()
    assert told["forwarded"] == ["127.0.0.1"]
    for path in ("/metrics", "/livez", "/readyz"):
        assert httpx.get(proxied.url + path).status_code == 404
    assert httpx.get(f"{proxied.url}/proxy").status_code == 204
