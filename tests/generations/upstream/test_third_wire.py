"""A further wire is one package: no line elsewhere names it, and a model of it is made like any other."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generations import foreign_text
from generations.catalog import video_models
from generations.models import Generation
from generations.outbound import addresses
from generations.upstream import accounts, wires
from seedance_service import doctor, model_checks
from tenants.models import LedgerEntry
from tests.support import made_up_wire, wired_models
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream, as_json
from tests.support.worker import ledger_kinds, take_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

MODEL = "acme-jobs-1-t2v"


@pytest.fixture
def acme(upstream: Upstream, bucket: Any, settings: Any, tmp_path: Path) -> Iterator[Upstream]:
    """Yield a scripted upstream of the made-up wire. The package, and a model of it, are the only additions."""
    package = shutil.copytree(made_up_wire.ACME, tmp_path / "wires" / "acme")
    settings.ACME_BASE_URL, settings.ACME_API_KEY = upstream.url, "the-key-of-acme"
    settings.CATALOG_DIR = wired_models.write(tmp_path / "catalog", MODEL, "acme", ["acme"])
    with made_up_wire.add(package):
        yield upstream


def test_a_model_of_a_wire_that_a_package_adds_is_made_end_to_end(alice: Caller, acme: Upstream, settings: Any) -> None:
    acme.on_submit = as_json({"job": "job-1"}, 201)
    created = alice.http.post("/v1/generations", {"model": MODEL, "prompt": "a ship", "seed": 5}, format="json")
    assert created.status_code == 202, created.content
    g = take_step(Generation.objects.get(pk=created.json()["id"]))
    assert (g.status, g.account, g.wire, g.upstream_id) == ("running", "acme", "acme", "job-1")
    [submit] = acme.submits
    assert submit == {
        "kind": f"{MODEL}-at-acme",
        "inputs": {"prompt": "a ship", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 5},
    }
    assert acme.keys == {"Bearer the-key-of-acme"}

    acme.on_video = as_json({"job": "job-1", "state": "waiting"})
    assert take_step(g).status == "running"
    film = {"job": "job-1", "state": "done", "film": f"{acme.url}/film.mp4", "seed": 5, "tokens": 40_000}
    content = mp4()
    acme.on_video = lambda handler: as_json(film) if "/jobs/" in handler.path else (200, {}, content)
    g = take_step(g)
    assert (g.status, g.upstream_tokens, g.charged_micro) == ("succeeded", 40_000, 80_000)
    assert ledger_kinds(g) == ["hold", "capture"]
    assert LedgerEntry.objects.get(kind="capture").account == "acme"
    answer = alice.http.get(f"/v1/generations/{g.pk}")
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["video"]["size"] == len(content)
    assert "acme-jobs" in answer.json()["model"]
    assert "job-1" not in json.dumps(answer.json())  # the upstream's own id is not for callers


def test_a_refusal_of_that_wire_fails_the_generation_and_releases_the_hold(alice: Caller, acme: Upstream) -> None:
    acme.on_submit = as_json({"fault": "bad inputs", "about": "the prompt is empty"}, 422)
    created = alice.http.post("/v1/generations", {"model": MODEL, "prompt": "a ship"}, format="json")
    g = take_step(Generation.objects.get(pk=created.json()["id"]))
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", "upstream_refused", ["hold", "release"])
    assert "the prompt is empty" in g.error_message


def test_the_doctor_and_operators_find_the_account_of_that_wire(acme: Upstream) -> None:
    assert "acme" in accounts.names()
    assert list(accounts.find_mistakes()) == []
    acme.on_video = as_json({"fault": "key"}, 401)
    levels = {finding.name: (finding.level, finding.fact) for finding in doctor.check_upstreams()}
    assert levels["upstream acme"] == ("wrong", "the key is refused")
    assert any("acme over acme can not be asked for" in finding.fact for finding in model_checks.check_routes())


def test_the_key_and_the_address_of_that_account_are_known_as_ours(acme: Upstream, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = []
    accounts.load()
    assert foreign_text.clean("said the-key-of-acme") == f"said {foreign_text.HIDDEN}"
    assert acme.host in addresses.for_videos()
    assert acme.host not in addresses.for_callers()


def test_the_wires_are_those_of_before_afterwards(settings: Any, tmp_path: Path) -> None:
    before = set(wires.load())
    with made_up_wire.add(made_up_wire.ACME):
        assert set(wires.load()) == before | {"acme"}
        settings.CATALOG_DIR = wired_models.write(tmp_path, MODEL, "acme", ["acme"])
        assert video_models.models()[MODEL].offers[0].wire == "acme"
    assert set(wires.load()) == before
    assert accounts.find("acme", "acme") is None
