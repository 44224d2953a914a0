"""Test models of every shape from the create to the file in the bucket, with the processes of `make run`.

`catalog/` has a model that is in no file of ours. Models that have retired are made active by files in CATALOG_DIR.
"""

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from generations.catalog import video_models
from tests.support.images import base64_of, image_bytes
from tests.support.running import ROOT, MakeRun, free_port

pytestmark = pytest.mark.story
OWN = ROOT / "tests" / "story" / "catalog" / "acme-dream-1-i2v.toml"
REVIVED = ("wan2.6-t2v", "minimax-hailuo-2.3-i2v")
LIFETIME = re.compile(r"^(state|announced_at|retires_at|replacement) = .*$", re.MULTILINE)
PRICES = json.dumps({"wan2.6-t2v": {"rates": [{"usd": "0.05"}]}})
IMAGE = base64_of(image_bytes())


def start(var: Path, port: int, catalog: Path) -> MakeRun:
    return MakeRun(var, port, CATALOG_DIR=str(catalog), PRICES=PRICES).wait_until_ready()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[MakeRun]:
    """Return a run that was started once without the files of its folder, and once more with them."""
    var, catalog, port = tmp_path_factory.mktemp("var"), tmp_path_factory.mktemp("catalog"), free_port()
    shutil.copy(migrated_sqlite, var / "db.sqlite3")
    first = start(var, port, catalog)
    try:
        with first.http() as http:
            assert http.post("/v1/generations", json={"model": OWN.stem, "image": IMAGE}).status_code == 400
    finally:
        first.stop()
    (catalog / OWN.name).write_text(OWN.read_text())
    for name in REVIVED:
        shipped = (video_models.SHIPPED / f"{name}.toml").read_text()
        (catalog / f"{name}.toml").write_text(LIFETIME.sub("", shipped))
    second = start(var, port, catalog)
    yield second
    second.stop()


def finish(http: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """Return the finished generation that an answer to a create, of either API, names. It must have succeeded."""
    body = answer.raise_for_status().json()
    path, headers = f"/v1/generations/{body.get('id') or body['task_id']}", {"Prefer": "wait=60"}
    row: dict[str, Any] = {"finished_at": None}
    for _ in range(3):
        if not row["finished_at"]:
            row = http.get(path, headers=headers, timeout=70).json()
    assert row["status"] == "succeeded", row
    assert (row["video"]["as_requested"], row["video"]["differences"]) == (True, [])
    return row


def describe(row: dict[str, Any]) -> tuple[tuple[str, ...], int, int, int]:
    """Return the codecs of a video in our bucket, its width and height, and the number of its frames."""
    with av.open(io.BytesIO(httpx.get(row["video"]["url"]).content)) as container:
        stream: Any = container.streams.video[0]
        codecs = tuple(track.codec_context.name for track in container.streams)
        return codecs, stream.width, stream.height, sum(1 for _ in container.decode(stream))


def test_a_model_that_is_in_no_file_of_ours_is_created_priced_rendered_listed_and_billed(run: MakeRun) -> None:
    with run.http() as http:
        offered = http.get(f"/v1/models/{OWN.stem}").json()
        assert [price["usd"] for price in offered["prices"]] == ["0.020000", "0.010000"]
        form = {"model": OWN.stem, "prompt": "a dream", "duration": "2", "audio": "true", "mood": "wild"}
        own = finish(http, http.post("/v1/generations", data=form, files={"image": image_bytes()}))
        assert (own["price_usd"], own["resolution"], own["mood"], own["audio"]) == ("0.040000", "540p", "wild", True)
        assert describe(own) == (("h264", "aac"), 960, 540, 49)
        wire = {
            "input": {"first_frame": IMAGE, "text": "another dream"},
            "parameters": {"seconds": 2, "size": "540x540", "mood": "MOOD_CALM"},
        }
        other = finish(http, http.post(f"/v3/async/{OWN.stem}", json=wire))
        assert (other["price_usd"], other["aspect_ratio"], other["mood"]) == ("0.020000", "1:1", "calm")
        assert describe(other) == (("h264",), 540, 540, 49)
        listed = http.get("/v1/generations").json()["generations"]
        assert [row["id"] for row in listed[:2]] == [other["id"], own["id"]]
    bill = run.manage("tenant", "bill", "demo", "--csv", str(run.var / "bill.csv"))
    assert bill.returncode == 0, bill.stderr
    assert [line.split()[-2:] for line in bill.stdout.splitlines() if f"{OWN.stem} 540p 2 s" in line] == [
        ["0.020000", "USD"],
        ["0.040000", "USD"],
    ]


def test_a_text_makes_a_video_of_the_pixels_and_frames_of_the_models_file(run: MakeRun) -> None:
    with run.http() as http:
        body = {"model": "seedance-v1-lite-t2v", "prompt": "a harbour", "resolution": "480p", "camera_fixed": True}
        row = finish(http, http.post("/v1/generations", json=body))
        assert describe(row) == (("h264",), 864, 480, 24 * 5 + 1)
        assert row["image"] is None


def test_nested_and_derived_fields_of_the_wire_make_a_video_with_sound(run: MakeRun) -> None:
    with run.http() as http:
        body = {"input": {"prompt": "a harbour"}, "parameters": {"size": "1088*832", "duration": 5, "seed": 3}}
        row = finish(http, http.post("/v3/async/wan2.6-t2v", json=body))
        assert (row["resolution"], row["aspect_ratio"], row["seed"], row["audio"]) == ("720p", "4:3", 3, True)
        assert row["price_usd"] == "0.250000"  # PRICES: five seconds
        codecs, width, height, _ = describe(row)
        assert (codecs, width, height) == (("h264", "aac"), 1088, 832)


def test_a_rule_between_fields_is_kept_and_named(run: MakeRun) -> None:
    with run.http() as http:
        body = {"model": "minimax-hailuo-2.3-i2v", "image": IMAGE, "prompt": "a harbour", "resolution": "1080p"}
        refused = http.post("/v1/generations", json={**body, "duration": 10})
        assert refused.status_code == 400
        assert "duration must be one of 6 where resolution is 1080p" in refused.text
        assert finish(http, http.post("/v1/generations", json={**body, "duration": 6}))["price_usd"] == "0.490000"


def test_a_model_without_a_seed_says_so_and_the_sandbox_repeats_its_video(run: MakeRun) -> None:
    with run.http() as http:
        body = {"model": "kling-v3.0-std-i2v", "image": IMAGE, "prompt": "a harbour", "duration": 3}
        rows = [finish(http, answer) for answer in [http.post("/v1/generations", json=body) for _ in range(2)]]
        assert {(row["seed"], row["seed_source"]) for row in rows} == {(None, "none")}
        assert len({row["video"]["sha256"] for row in rows}) == 1
        result = http.get("/v3/async/task-result", params={"task_id": rows[0]["id"]}).json()
        assert "seed" not in result["extra"]
