"""Test the manifests of Kubernetes: valid, with few rights, with probes and scaling."""

import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.tools import DEPLOY, run
from tests.service.docs.test_documents import SETTINGS
from tests.support.programs import find_program

KUBERNETES = DEPLOY / "kubernetes"
API = "1.33"  # version of Kubernetes whose schemas are used


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the example overlay, rendered by Kustomize with secrets that open nothing."""
    kubectl = find_program("kubectl")
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    (folder / "example" / "secrets").mkdir()
    for name in ("secret_key", "database_url", "novita_api_key", "metrics_token"):
        (folder / "example" / "secrets" / name).write_text("x")
    return list(yaml.safe_load_all(run(kubectl, "kustomize", str(folder / "example"))))


def manifests() -> list[dict[str, Any]]:
    files = [path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [manifest for path in sorted(files) for manifest in yaml.safe_load_all(path.read_text())]


def named(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one document of that kind and name."""
    [document] = (item for item in documents if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return document


@pytest.mark.parametrize("manifest", manifests(), ids=lambda item: f"{item['kind']} {item['metadata']['name']}")
def test_a_manifest_is_valid(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, API, strict=True)


def test_the_rendered_overlay_is_valid(rendered: list[dict[str, Any]]) -> None:
    for document in rendered:
        kubernetes_validate.validate(document, API, strict=True)
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
def test_a_pod_has_few_rights(kind: str, name: str) -> None:
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
        catalog_dir = named(manifests(), "ConfigMap", "seedance-settings")["data"]["CATALOG_DIR"]
        assert {"name": "models", "mountPath": catalog_dir, "readOnly": True} in container["volumeMounts"]


def test_web_has_a_readiness_probe_and_the_worker_a_liveness_probe() -> None:
    web, worker = (named(manifests(), "Deployment", f"seedance-{role}") for role in ("web", "worker"))
    [container] = web["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz?without=worker"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    [container] = worker["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["exec"]["command"] == ["python", "deploy/healthcheck.py"]
    for role in ("web", "worker"):
        assert named(manifests(), "PodDisruptionBudget", f"seedance-{role}")["spec"]["minAvailable"] == 1


def test_workers_scale_with_due_generations_and_have_a_slot_each() -> None:
    scaler = named(manifests(), "HorizontalPodAutoscaler", "seedance-worker")["spec"]
    assert scaler["metrics"][0]["external"]["metric"]["name"] == "seedance_generations_due"
    slots = named(manifests(), "ConfigMap", "seedance-settings")["data"]["SWEEP_SLOTS"]
    assert scaler["maxReplicas"] == int(slots)
