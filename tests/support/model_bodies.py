"""Bodies of creates for Hypothesis, made from a model's row and beyond it, and a model that has every kind of rule."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from generations.catalog import request_check
from generations.catalog.request_fields import RequestField, write_path
from generations.catalog.video_models import VideoModel

URL = "https://example.com/a.png"
JUNK = st.sampled_from(
    [
        *("", " ", "x", "5", "true", URL, "480p", "1080P", "16:9", "1280*720", "a\0b", "\U0001f30a"),
        *("x" * 501, "x" * 2001, "a --rs 1080p", "a\n\uff0d\ufe63\uff32", "a -- b, c-d, --5"),
        *(-2, -1, 0, 1, 3, 5, 5.0, 5.5, 6, 10, 24, 16, 2**31, 2**32, 1e300, True, False, None, [], {}, [5], {"a": 1}),
    ]
)
RULES = """
id = "ruled-1-i2v"
title = "Every kind of rule"
wire = "novita-async"
route = "/v3/async/ruled-1-i2v"
task = "i2v"
fields = [
  {name = "image", type = "image", presence = "required"},
  {name = "prompt", type = "string", max_length = 20, default = ""},
  {name = "mode", type = "enum", enum = ["fast", "best"], default = "fast"},
  {name = "duration", wire = "parameters.duration", type = "integer", min = 3, max = 10, default = 5},
  {name = "audio", wire = "parameters.audio", type = "boolean", default = true},
  {name = "last_image", type = "image"},
  {name = "voice", type = "enum", enum = ["low", "high"], wire_values = {low = "LOW"}},
  {name = "strength", type = "number", min = 0, max = 1},
  {name = "shots", type = "integer", min = 1, max = 4},
  {name = "watermark", presence = "forbidden"},
]
rules = [
  {if = {mode = "fast"}, if_given = ["last_image"], then = {forbid = ["audio"]}},
  {if = {audio = true}, if_given = ["voice"], then = {require = ["strength"], enum = {duration = [5, 10]}}},
  {if = {mode = ["best"]}, then = {enum = {shots = [1, 2], audio = [true]}}},
  {if_given = ["shots"], then = {forbid = ["voice"]}},
  {if = {strength = 1}, then = {enum = {voice = ["high"]}}},
]
image = {formats = ["jpeg"], max_bytes = 1000000}
price = {kind = "per_video", rates = [{usd = "0.1"}]}
"""
OPTIONAL_IMAGE = """
id = "both-1"
title = "With an image or without"
wire = "ark"
offers = [{account = "novita", upstream_model = "both-1-260101"}]
task = "both"
fields = [
  {name = "image", type = "image"},
  {name = "last_image", type = "image"},
  {name = "prompt", type = "string", max_length = 20, default = "", refuses_flags = true},
  {name = "aspect_ratio", wire = "ratio", type = "enum", enum = ["16:9", "1:1", "adaptive"], default = "adaptive"},
  {name = "duration", type = "integer", min = 3, max = 10, default = 5},
]
rules = [
  {if_absent = ["image"], then = {require = ["prompt"]}},
  {if_given = ["last_image"], then = {require = ["image"]}},
  {if = {duration = 10}, if_absent = ["image", "last_image"], then = {enum = {aspect_ratio = ["16:9", "1:1"]}}},
]
image = {formats = ["jpeg"], max_bytes = 1000000}
price = {kind = "per_video", rates = [{usd = "0.1"}]}
"""


def right_values(field: RequestField) -> st.SearchStrategy[Any]:
    """Return values that the field takes by itself, its limits more often than others."""
    row = field.row
    match row.type:
        case "enum":
            return st.sampled_from(row.enum)
        case "boolean":
            return st.booleans()
        case "image":
            return st.just(URL)
        case "integer":
            assert field.minimum is not None
            assert row.max is not None
            low, high = int(field.minimum), int(row.max)
            return st.sampled_from([low, high]) | st.integers(low, high) | st.just(float(low))
        case "number":
            assert row.min is not None
            assert row.max is not None
            return st.sampled_from([row.min, row.max]) | st.floats(row.min, row.max)
    texts = ["x" * field.max_length, "The tide comes in", "\U0001f30a\n", *([] if field.is_required else [""])]
    return st.sampled_from([text for text in texts if len(text) <= field.max_length])


@st.composite
def bodies(draw: Callable[..., Any], model: VideoModel, *, may_be_wrong: bool) -> dict[str, Any]:
    """Return a body with right values, or with some wrong, missing and unknown ones among them."""
    body: dict[str, Any] = {}
    for name, field in model.fields.items():
        if field.is_required or draw(st.booleans()):
            body[name] = draw(right_values(field))
    if not may_be_wrong:
        return body
    for name in draw(st.lists(st.sampled_from(sorted(model.fields)), max_size=2)):
        if draw(st.booleans()):
            body.pop(name, None)
        else:
            body[name] = draw(JUNK)
    return body


def to_wire(model: VideoModel, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the body in the vendor's names and values; none if the vendor has no way to write it."""
    written: dict[str, Any] = {}
    derived = {name for row in model.row.derived for name in row.from_}
    for name, value in body.items():
        field = model.fields[name]
        if name not in derived:
            is_choice = field.is_enum and request_check.contains(field.row.enum, value)
            write_path(written, field.path, field.to_wire(value) if is_choice else value)
    for row in model.row.derived:
        values = [body.get(name) for name in row.from_]
        if all(value is None for value in values):
            continue
        try:
            first, second = (
                str(model.fields[name].default if value is None else value)
                for name, value in zip(row.from_, values, strict=True)
            )
            write_path(written, row.wire.split("."), row.table[first][second])
        except KeyError:
            return
    yield written


def theirs_for_ours(model: VideoModel, body: Mapping[str, Any]) -> bool:
    """Return whether a value of ours, which the vendor writes in another way, would be a stranger on the wire."""
    return any(str(body.get(name)) in {*field.row.wire_values.values()} for name, field in model.fields.items())
