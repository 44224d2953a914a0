"""What no schema can say: which text is a picture, which rows there are, what a page's cursor is.

Schemathesis loads this module. CONTRACT names the file of what rows.py made.
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
from tests.contract import checks  # noqa: F401  # they register themselves
from tests.support.images import base64_of, data_uri, image_bytes

KNOWN: dict[str, Any] = json.loads(Path(os.environ["CONTRACT"]).read_text())
FILES = [image_bytes(320, 320, "PNG"), image_bytes(), image_bytes(301, 700, "GIF"), image_bytes(5999, 2400, "WEBP")]
TEXTS = ["https://pictures.example/1.jpg", base64_of(FILES[0]), data_uri(FILES[1]), f" {data_uri(FILES[2], 'gif')}\n"]
IDS = [one for kind in ("generations", "endpoints", "deliveries") for one in KNOWN[kind]]
DAYS = st.dates(date(2000, 1, 1), date(2999, 12, 31)).map(str)
CLOCKS = st.builds("{:02}:{:02}:59{}".format, st.integers(0, 23), st.integers(0, 59), st.sampled_from(("Z", "+14:00")))

schemathesis.openapi.format("picture", st.sampled_from(TEXTS))
schemathesis.openapi.format("binary", st.sampled_from(FILES))
schemathesis.openapi.format("cursor", st.just("a cursor"))
schemathesis.openapi.format("uuid", st.uuids().map(str) | st.sampled_from(IDS))
schemathesis.openapi.format("date", DAYS)
schemathesis.openapi.format("date-time", st.builds("{}T{}".format, DAYS, CLOCKS))

calls = itertools.count()
of_an_example = {
    examples.ID: itertools.cycle(KNOWN["generations"]),
    examples.ENDPOINT: itertools.cycle(KNOWN["endpoints"]),
    examples.DELIVERY: itertools.cycle(KNOWN["deliveries"]),
}
spare = itertools.cycle(KNOWN["spare"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    number = next(calls)
    # From an address of its own: what a wrong key costs the next caller there is for another test.
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if "Prefer" in case.headers:  # nobody has half a minute
        case.headers["Prefer"] = re.sub(r"[0-9]+", "1", str(case.headers["Prefer"]))
    if number % 4 and re.fullmatch(r"[ -~]{1,255}", str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = str(number)  # else only the first body of a key would be looked at
    for container in (case.path_parameters, case.query):
        if isinstance(container, dict):
            container |= {name: _row(case, value) for name, value in container.items() if isinstance(value, str)}
    if case.meta and case.meta.generation.mode.is_positive:
        _mend(case)


def _row(case: Any, value: str) -> str:
    """An id that is there, instead of an example's; and the others' rows are not deleted."""
    value = next(of_an_example[value]) if value in of_an_example else value
    return next(spare) if case.method == "DELETE" and value in IDS else value


def _mend(case: Any) -> None:
    """What is right only beside another value, or in the mouth of its caller."""
    query = case.query or {}
    if not query.get("external_id", "one"):
        del query["external_id"]  # of an answer about one without it
    if "cursor" in query:
        query["cursor"] = KNOWN["cursors"][case.path]
    if case.path == "/v1/usage" and "from" in query:
        last = date.fromisoformat(query.get("to", str(datetime.now(UTC).date())))
        query["from"] = str(last - timedelta(days=date.fromisoformat(query["from"]).toordinal() % 366))
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        texts = {
            name: text for name, text in case.body.items() if name in ("image", "last_image") and type(text) is str
        }
        case.body |= {name: Binary(FILES[0]) for name in texts}  # it sends them as files, a text of the JSON's too


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Schemathesis can not judge a form with a file in it: where it puts another value into one that was made by the
    rules, it takes the whole for one that breaks them. JSON has the same fields, and test_forms.py the forms."""
    return not (isinstance(failure, AcceptedNegativeData) and case.media_type == "multipart/form-data")
