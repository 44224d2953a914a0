"""Values that no schema can describe: texts that are images, ids of existing rows, the cursor of a page.

Schemathesis loads this module. The variable CONTRACT names the file of the rows that rows.py created.
"""

import itertools
import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.transport.serialization import Binary

from seedance_service.docs.openapi import examples
from tests.contract import (
    checks,  # noqa: F401  # the checks register themselves
    fitting_bodies,
)
from tests.support.images import base64_of, data_uri, image_bytes

ROWS: dict[str, Any] = json.loads(Path(os.environ["CONTRACT"]).read_text())
FILES = [image_bytes(320, 320, "PNG"), image_bytes(), image_bytes(301, 700, "GIF"), image_bytes(5999, 2400, "WEBP")]
TEXTS = ["https://images.example/1.jpg", base64_of(FILES[0]), data_uri(FILES[1]), f" {data_uri(FILES[2], 'gif')}\n"]
IDS = [row_id for kind in ("generations", "endpoints", "deliveries") for row_id in ROWS[kind]]
DAYS = st.dates(date(2000, 1, 1), date(2999, 12, 31)).map(str)
CLOCKS = st.builds("{:02}:{:02}:59{}".format, st.integers(0, 23), st.integers(0, 59), st.sampled_from(("Z", "+14:00")))

schemathesis.openapi.format("image", st.sampled_from(TEXTS))
schemathesis.openapi.format("binary", st.sampled_from(FILES))
schemathesis.openapi.format("cursor", st.just("a cursor"))
schemathesis.openapi.format("uuid", st.uuids().map(str) | st.sampled_from(IDS))
schemathesis.openapi.format("date", DAYS)
schemathesis.openapi.format("date-time", st.builds("{}T{}".format, DAYS, CLOCKS))

calls = itertools.count()
of_an_example = {
    examples.ID: itertools.cycle(ROWS["generations"]),
    examples.ENDPOINT: itertools.cycle(ROWS["endpoints"]),
    examples.DELIVERY: itertools.cycle(ROWS["deliveries"]),
}
spare = itertools.cycle(ROWS["spare"])
models = itertools.cycle(ROWS["schemas"])
models_of = dict.fromkeys(ROWS["generations"], fitting_bodies.DEFAULT)  # by the generation's id
CREATES = ("/v1/generations", "/v1/generations/quote", "/v1/generations/{generation_id}/rerun")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give the call an address of its own, a short wait, and ids of rows that exist."""
    number = next(calls)
    # Wrong keys slow down the next caller of the same address, which is the subject of another test.
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if "Prefer" in case.headers:  # a wait of half a minute is too long for this run
        case.headers["Prefer"] = re.sub(r"[0-9]+", "1", str(case.headers["Prefer"]))
    if number % 4 and re.fullmatch(r"[ -~]{1,255}", str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = str(number)  # of a repeated key, only the first body would be accepted
    for container in (case.path_parameters, case.query):
        if isinstance(container, dict):
            container |= {
                name: _existing_id(case, value) for name, value in container.items() if isinstance(value, str)
            }
    if case.meta and case.meta.generation.mode.is_positive:
        _correct(case)


def _existing_id(case: Any, value: str) -> str:
    """Return the id of an existing row for an example's id, and for a DELETE one of the rows that are spare."""
    value = next(of_an_example[value]) if value in of_an_example else value
    return next(spare) if case.method == "DELETE" and value in IDS else value


def _correct(case: Any) -> None:
    """Correct the values that are valid only beside another value, or from another caller."""
    query = case.query or {}
    if "model_id" in (case.path_parameters or {}):
        case.path_parameters["model_id"] = next(models)
    if not query.get("external_id", "any"):
        del query["external_id"]  # a link from a generation without an external id
    if "cursor" in query:
        query["cursor"] = ROWS["cursors"][case.path]
    if case.path == "/v1/usage" and "from" in query:
        last = date.fromisoformat(query.get("to", str(datetime.now(UTC).date())))
        query["from"] = str(last - timedelta(days=date.fromisoformat(query["from"]).toordinal() % 366))
    if case.method == "POST" and case.path in CREATES and isinstance(case.body, dict):
        case.body = fitting_bodies.fit(case.body, ROWS["schemas"], TEXTS[0], _model_of_source(case))
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        texts = {
            name: text for name, text in case.body.items() if name in ("image", "last_image") and type(text) is str
        }
        case.body |= {name: Binary(FILES[0]) for name in texts}  # Schemathesis sends a text as a file, too


def _model_of_source(case: Any) -> str | None:
    """Return the model of the generation that the case runs again; None for any other case."""
    generation = (case.path_parameters or {}).get("generation_id")
    return models_of.get(str(generation), fitting_bodies.DEFAULT) if generation else None


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember the model of each generation that an answer shows: Schemathesis uses its id in other calls."""
    if case.path.startswith("/v1/generations") and response.status_code < 300 and response.content:
        body = response.json()
        for row in body.get("generations", [body]):
            if "id" in row and "model" in row:
                models_of[row["id"]] = row["model"]


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Return whether the failure counts.

    Schemathesis can not judge a form with a file: after it replaced the file, it takes the form for an invalid one. The
    JSON body has the same fields, and test_multipart.py tests the forms.
    """
    return not (isinstance(failure, AcceptedNegativeData) and case.media_type == "multipart/form-data")
