"""Test what a mistake in a model's file leads to: a sentence with the file, the key, and what was expected."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from generations import apps
from generations.catalog import prices, video_models
from generations.catalog.model_file import CatalogError
from tests.support.running import ROOT

HEAD = """
id = "acme-dream-1-i2v"
title = "Acme Dream 1"
wire = "novita-async"
route = "/v3/async/acme-dream-1-i2v"
task = "i2v"
pixels.720p = {"16:9" = [1280, 720], "9:16" = [720, 1280]}
fps = 24
sound = "flag:audio"
"""
FIELDS = {
    "image": 'type = "image"\npresence = "required"',
    "resolution": 'type = "enum"\nenum = ["720p"]\ndefault = "720p"',
    "aspect_ratio": 'type = "enum"\nenum = ["16:9", "9:16", "adaptive"]\ndefault = "16:9"',
    "duration": 'type = "enum"\nenum = [5, 10]\ndefault = 5\npriced = true',
    "audio": 'type = "boolean"\ndefault = true\npriced = true',
    "seed": 'type = "integer"\nmin = 0\nmax = 100',
    "cfg_scale": 'type = "number"\nmin = 0\nmax = 1\ndefault = 0.5',
    "style": 'type = "enum"\nenum = ["plain", "rich"]',
}
IMAGE = '[image]\nformats = ["jpeg", "png"]\nmax_bytes = 10000000\n'
PRICE = '[price]\nkind = "per_second"\n[[price.rates]]\nusd = "0.1"\n'


def text(*, head: str = HEAD, image: str = IMAGE, price: str = PRICE, end: str = "", **fields: str) -> str:
    """Return a correct file, but for the parts that are given."""
    tables = "".join(f'[[fields]]\nname = "{name}"\n{keys}\n' for name, keys in {**FIELDS, **fields}.items() if keys)
    return "\n".join((head, tables, image, price, end))


NO_ROUTE = HEAD.replace('route = "/v3/async/acme-dream-1-i2v"\n', "")


def offer() -> str:
    return '[[offers]]\naccount = "ark"\nupstream_model = "acme-1"\n'


def rule(condition: str, then: str) -> str:
    return f"[[rules]]\n{condition}\n[rules.then]\n{then}"


def derived(table: str = '720p = {"5" = "a", "10" = "b"}', sources: str = '"resolution", "duration"') -> str:
    return f'[[derived]]\nwire = "size"\nfrom = [{sources}]\ntable = {{{table}}}'


def mistakes(folder: Path, *contents: str) -> list[str]:
    """Return the lines of the error that these files lead to, without the folder; none if they are read."""
    for number, content in enumerate(contents):
        (folder / f"own{number}.toml").write_text(content)
    try:
        video_models.load.__wrapped__(str(folder))
    except CatalogError as error:
        return str(error).replace(f"{folder}/", "").splitlines()
    return []


def test_a_correct_file_adds_a_model(tmp_path: Path) -> None:
    assert mistakes(tmp_path, text()) == []


def test_a_correct_file_may_have_offers_with_prices_and_an_optional_image(tmp_path: Path) -> None:
    price = '[offers.price]\nkind = "per_second"\nrates = [{usd = "0.2"}]\n'
    offers = offer() + offer().replace("ark", "novita") + price
    content = OPTIONAL_IMAGE.replace(HEAD, NO_ROUTE.replace('"i2v"', '"both"'))
    assert mistakes(tmp_path, content + offers + rule('if_absent = ["image"]', 'require = ["seed"]')) == []


OPTIONAL_IMAGE = text().replace('type = "image"\npresence = "required"', 'type = "image"')
RATE = "a text of USD with at most six decimals was expected."
WRONG: dict[str, tuple[str, str]] = {
    "no toml": ("id =", "the file is no TOML: Invalid value"),
    "key missing": (text(head=HEAD.replace('task = "i2v"', "")), "task: the key is missing; a value was expected."),
    "unknown key": (text(head=HEAD + "colour = 1"), "colour: there is no such key; one of id, title, wire, route,"),
    "unknown key of a field": (text(audio='type = "boolean"\ncolour = 1'), "fields[4] (audio): colour: there is no"),
    "unknown key of a table": (text(image=IMAGE + "colour = 1"), "image.colour: there is no such key; one of formats,"),
    "wrong type": (text(head=HEAD.replace("24", '"24"')), "fps: Expected `int | null`, got `str`."),
    "type of a field": (text(seed='type = "list"'), "fields[5] (seed): type: Invalid enum value 'list'."),
    "no table": (text(head=HEAD + "rules = [1]"), "rules[0]: a table was expected."),
    "id": (text(head=HEAD.replace('id = "acme', 'id = "Acme')), "id: Expected `str` matching regex"),
    "datetime": (text(head=HEAD + "retires_at = 2026-09-30T10:00:00Z"), "retires_at: Expected `date | null`, got"),
    "state": (text(head=HEAD + 'state = "gone"'), "state: Invalid enum value 'gone'."),
    "rate of no text": (text(price=PRICE.replace('"0.1"', "0.1")), "price.rates[0].usd: Expected `str | null`, got"),
    "twice": (text(end='[[fields]]\nname = "seed"\ntype = "boolean"'), "fields: seed stands there twice; each field"),
    "own name": (text(eta='type = "boolean"'), "fields: eta is a name of the service's own; another name was expected"),
    "no duration": (text(duration=""), "fields: a field duration, in seconds, was expected, required or with a"),
    "open duration": (text(duration='type = "enum"\nenum = [5]'), "fields: a field duration, in seconds, was expected"),
    "no image rules": (text(image=""), "image: rules were expected, as the model's fields have it."),
    "task": (text(head=HEAD.replace('"i2v"', '"t2v"')), "task: i2v was expected for a model that requires an image"),
    "task with a required image": (
        text(head=HEAD.replace('"i2v"', '"both"')),
        "task: i2v was expected for a model that requires an image, both where it is optional, and t2v else.",
    ),
    "task with an optional image": (OPTIONAL_IMAGE, "task: i2v was expected for a model that requires an image, both"),
    "no type": (text(style="priced = true"), "fields[7] (style): type: one of string, integer, number, boolean, image"),
    "reserved type": (text(seed='type = "string"'), "fields[5] (seed): type: integer was expected."),
    "third image": (text(mask='type = "image"'), "fields[8] (mask): type: another type: images are image and"),
    "no values": (text(style='type = "enum"'), "fields[7] (style): enum: values were expected for the type enum, and"),
    "values of a text": (text(style='type = "string"\nenum = ["a"]'), "fields[7] (style): enum: values were expected"),
    "same values": (text(style='type = "enum"\nenum = ["a", "A"]'), "fields[7] (style): enum: different values of one"),
    "no range": (text(cfg_scale='type = "number"\nmin = 0'), "fields[6] (cfg_scale): min, max: a least and a largest"),
    "endless range": (text(seed='type = "integer"\nmin = 0\nmax = inf'), "fields[5] (seed): max: Expected `float` <="),
    "no number": (
        text(cfg_scale='type = "number"\nmin = nan\nmax = 1'),
        "fields[6] (cfg_scale): min: Expected `float`",
    ),
    "default without a range": (
        text(cfg_scale='type = "number"\ndefault = 2'),
        "fields[6] (cfg_scale): min, max: a least and a largest number were expected.",
    ),
    "half a number": (text(seed='type = "integer"\nmin = 0\nmax = 1.5'), "fields[5] (seed): min, max: whole numbers"),
    "last image": (
        text(last_image='type = "image"\npresence = "required"'),
        "fields[8] (last_image): presence: optional",
    ),
    "wire value": (
        text(style='type = "enum"\nenum = ["a"]\nwire_values = {b = "B"}'),
        "fields[7] (style): wire_values: b is no",
    ),
    "same wire values": (
        text(style='type = "enum"\nenum = ["a", "b"]\nwire_values = {a = "C", b = "C"}'),
        "fields[7] (style): wire_values: a different value for each of ours was expected.",
    ),
    "default": (
        text(cfg_scale='type = "number"\nmin = 0\nmax = 1\ndefault = 2'),
        "fields[6] (cfg_scale): default: it must be a number from 0 to 1.",
    ),
    "default of a required field": (
        text(audio='type = "boolean"\npresence = "required"\ndefault = true'),
        "fields[4] (audio): default: none was expected of a required field, or of an image.",
    ),
    "long duration": (
        text(duration='type = "integer"\nmin = 1\nmax = 900\ndefault = 5'),
        "fields[3] (duration): duration: a list, or a",
    ),
    "duration as text": (
        text(duration='type = "enum"\nenum = ["5"]\ndefault = "5"'),
        "fields[3] (duration): duration: whole seconds from 1",
    ),
    "long resolution": (
        text(resolution='type = "enum"\nenum = ["extremely-high"]'),
        "fields[1] (resolution): enum: texts of at most 10 characters",
    ),
    "large seed": (
        text(seed=f'type = "integer"\nmin = 0\nmax = {2**63}'),
        "fields[5] (seed): max: a number from 0 to 92",
    ),
    "rule of no field": (
        text(end=rule("if = {speed = 1}", 'forbid = ["seed"]')),
        "rules[0]: speed is no field of the model.",
    ),
    "empty rule": (
        text(end=rule("if = {audio = true}", "")),
        "rules[0]: a condition in `if`, `if_given` or `if_absent`, and something",
    ),
    "rule for a field that is always there": (
        text(end=rule('if_absent = ["image"]', 'require = ["seed"]')),
        "rules[0]: if_absent: image is required or given; a field that a request can lack was expected.",
    ),
    "rule for a field that is there and is not": (
        text(end=rule('if_absent = ["seed"]\nif_given = ["seed"]', 'forbid = ["style"]')),
        "rules[0]: if_absent: seed is required or given; a field that a request can lack was expected.",
    ),
    "rule for what it asks for": (
        text(end=rule('if_absent = ["seed"]', 'require = ["seed"]')),
        "rules[0]: if_absent: seed is required or given; a field that a request can lack was expected.",
    ),
    "absent and no field": (
        text(end=rule('if_absent = ["speed"]', 'require = ["seed"]')),
        "rules[0]: speed is no field of the model.",
    ),
    "flags of no text": (
        text(seed='type = "integer"\nmin = 0\nmax = 9\nrefuses_flags = true'),
        "fields[5] (seed): refuses_flags: the type string was expected.",
    ),
    "flags in a default": (
        text(prompt='type = "string"\nrefuses_flags = true\ndefault = "a --rs"'),
        "fields[8] (prompt): default: it must not hold flags such as --rs",
    ),
    "route and offers": (text(end=offer()), "route, offers: one of the two was expected: a route of Novita's, or"),
    "neither route nor offers": (text(head=NO_ROUTE), "route, offers: one of the two was expected"),
    "offer of no target": (
        text(head=NO_ROUTE, end='[[offers]]\naccount = "ark"'),
        "offers[0]: a route or an upstream_model was expected, and not both.",
    ),
    "the same offer twice": (
        text(head=NO_ROUTE, end=offer() + offer()),
        "offers[1]: the account ark was expected once.",
    ),
    "kind of an offer's price": (
        text(head=NO_ROUTE, end=offer() + '[offers.price]\nkind = "per_video"\nrates = [{usd = "1"}]'),
        "offers[0].price.kind: per_second was expected, as the model's own price has it.",
    ),
    "no rate of an offer": (
        text(head=NO_ROUTE, end=offer() + '[offers.price]\nkind = "per_second"'),
        "offers[0].price.rates: a rate was expected.",
    ),
    "rate of an offer": (
        text(head=NO_ROUTE, end=offer() + '[offers.price]\nkind = "per_second"\nrates = [{usd = "a"}]'),
        f"offers[0].price.rates[0].usd: {RATE}",
    ),
    "rule against itself": (
        text(end=rule('if_given = ["seed"]', 'forbid = ["image"]')),
        "rules[0]: image cannot be forbidden and required.",
    ),
    "rule against the duration": (
        text(end=rule('if_given = ["seed"]', 'forbid = ["duration"]')),
        "rules[0]: duration cannot be forbidden: each",
    ),
    "value of a rule": (
        text(end=rule("if = {audio = 1}", 'forbid = ["seed"]')),
        "rules[0]: audio: it must be true or false.",
    ),
    "listed by a rule": (
        text(end=rule("if = {audio = true}", "enum = {duration = [7]}")),
        "rules[0]: duration: it must be one of 5, 10.",
    ),
    "derived from no field": (
        text(end=derived(sources='"resolution", "seed"')),
        "derived[0]: from: two fields of the type enum",
    ),
    "derived of too few": (
        text(end=derived('720p = {"5" = "a"}')),
        "derived[0]: table: one value for each combination was expected; see 720p 10.",
    ),
    "derived twice": (
        text(end=derived('720p = {"5" = "a", "10" = "a"}')),
        "derived[0]: table: a different value for each",
    ),
    "derived from an open field": (
        text(end=derived('plain = {"5" = "a", "10" = "b"}, rich = {"5" = "c", "10" = "d"}', '"style", "duration"')),
        "derived[0]: from: style was expected to be required, or to have a default.",
    ),
    "never sent": (
        text(style='type = "enum"\nenum = ["a"]\nwire = ""'),
        "fields (style): wire: a path was expected, or a derived field",
    ),
    "empty wire": (
        text(style='type = "enum"\nenum = ["a"]\nwire = "a..b"'),
        "style: wire: names with dots between them were expected.",
    ),
    "same wire": (
        text(style='type = "enum"\nenum = ["a"]\nwire = "seed"'),
        "style: wire: seed was expected to lie apart from seed of seed.",
    ),
    "wire inside": (
        text(style='type = "enum"\nenum = ["a"]\nwire = "seed.a"'),
        "style: wire: seed.a was expected to lie apart from seed of seed.",
    ),
    "sound": (
        text(head=HEAD.replace("flag:audio", "flag:seed")),
        "sound: never, always, or flag: with a boolean field of the model was",
    ),
    "pixels of a resolution": (
        text(head=HEAD.replace("pixels.720p", "pixels.480p")),
        "pixels: the resolutions 720p were expected.",
    ),
    "pixels of a ratio": (
        text(head=HEAD.replace('"9:16"', '"1:1"')),
        "pixels.720p: a size for each aspect ratio but adaptive was",
    ),
    "format": (text(image=IMAGE.replace("png", "heic-x")), "image.formats: heic-x cannot be read; "),
    "bytes": (text(image=IMAGE.replace("10000000", "1000000000")), "image.max_bytes: at most "),
    "days": (
        text(head=HEAD + "announced_at = 2027-01-02\nretires_at = 2027-01-01"),
        "announced_at: a day before retires_at was",
    ),
    "rate": (text(price=PRICE.replace("0.1", "0,1")), f"price.rates[0].usd: {RATE}"),
    "settle": (
        text(head=HEAD + 'settle = "usage"'),
        "settle: quoted was expected, since an upstream reports the usage",
    ),
    "rate of another kind": (
        text(price=PRICE.replace("per_second", "per_token")),
        f"price.rates[0].usd_per_million: {RATE}",
    ),
    "rate by an unpriced field": (
        text(price=PRICE + 'when = {resolution = "720p"}'),
        "price.rates[0].when: resolution was expected to be",
    ),
    "value of a rate": (
        text(price=PRICE + "when = {duration = 7}"),
        "price.rates[0].when.duration: it must be one of 5, 10.",
    ),
    "no rate": (text(price=PRICE + "when = {audio = true}"), "price.rates: a rate for audio False was expected."),
    "no rate without a value": (
        text(style='type = "enum"\nenum = ["a"]\npriced = true', price=PRICE + 'when = {style = "a"}'),
        "price.rates: a rate for no style was expected.",
    ),
    "replacement": (
        text(head=HEAD + 'replacement = "acme-dream-2"'),
        "replacement: there is no model acme-dream-2; one of acme-dream-1-i2v,",
    ),
    "own replacement": (
        text(head=HEAD + 'replacement = "acme-dream-1-i2v"'),
        "replacement: acme-dream-1-i2v leads back to acme-dream-1-i2v;",
    ),
    "route of another": (
        text(head=HEAD.replace("async/acme-dream-1-i2v", "async/seedance-v1-lite-i2v")),
        "route: /v3/async/seedance-v1-lite-i2v is the route of seedance-v1-lite-i2v.",
    ),
    "route of ours": (
        text(head=HEAD.replace("async/acme-dream-1-i2v", "async/task-result")),
        "route: Expected `str` matching regex",
    ),
}


@pytest.mark.parametrize(("content", "expected"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, content: str, expected: str) -> None:
    found = mistakes(tmp_path, content)
    assert any(line.startswith(f"own0.toml: {expected}") for line in found), found


def test_all_mistakes_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    first = text(head=HEAD + "colour = 1\nshape = 2", seed='type = "list"')
    second = text(sound='type = "string"\nenum = ["a"]\nwire = "seed"', image="")
    found = mistakes(tmp_path, first, second)
    assert [line.split(":")[0] for line in found] == ["own0.toml"] * 3 + ["own1.toml"] * 3, found


def test_two_own_files_of_one_model_are_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, text(), text()) == ["own1.toml: id: own0.toml has the id acme-dream-1-i2v already."]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "none") == [f"CATALOG_DIR: {tmp_path}/none is no folder."]


def test_a_file_of_ones_own_replaces_a_shipped_model(tmp_path: Path) -> None:
    shipped = (video_models.SHIPPED / "seedance-v1-lite-i2v.toml").read_text()
    (tmp_path / "own.toml").write_text(shipped.replace('usd_per_million = "1.8"', 'usd_per_million = "3.6"'))
    models = [video_models.load.__wrapped__(folder)["seedance-v1-lite-i2v"] for folder in ("", str(tmp_path))]
    assert models[0].row != models[1].row


def test_a_file_without_a_title_is_titled_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(text(head=HEAD.replace('title = "Acme Dream 1"', "")))
    assert video_models.load(str(tmp_path))["acme-dream-1-i2v"].row.title == "acme-dream-1-i2v"


EXAMPLES = {
    "seedance-v1-pro-i2v": """
id = "seedance-v1-pro-i2v"
title = "Seedance V1 Pro"
wire = "novita-async"
route = "/v3/async/seedance-v1-pro-i2v"
task = "i2v"
fields = [
  {name = "image", wire = "image", type = "image", presence = "required"},
  {name = "last_image", wire = "last_image", type = "image", presence = "optional"},
  {name = "prompt", wire = "prompt", type = "string", max_length = 2000, presence = "optional"},
  {name = "resolution", wire = "resolution", type = "enum", enum = ["480p", "720p", "1080p"], presence = "required", priced = true},
  {name = "aspect_ratio", wire = "aspect_ratio", type = "enum", enum = ["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"], default = "16:9", presence = "optional", priced = true},
  {name = "duration", wire = "duration", type = "enum", enum = [5, 10], default = 5, presence = "optional", priced = true},
  {name = "camera_fixed", wire = "camera_fixed", type = "boolean", default = false, presence = "optional"},
  {name = "seed", wire = "seed", type = "integer", min = -1, max = 2147483647, default = -1, presence = "optional"}]
image = {formats = ["jpeg", "png", "webp", "bmp", "tiff", "gif"], max_bytes = 31457280, short_side_over = 300, long_side_under = 6000, ratio_min = 0.4, ratio_max = 2.5, encoding = "data_uri"}
fps = 24
frames_extra = 1
sound = "never"
price = {kind = "per_token", rates = [{when = {}, usd_per_million = "2.5"}]}
settle = "quoted"
state = "active"
""",  # noqa: E501
    "kling-v3.0-std-i2v": """
id = "kling-v3.0-std-i2v"
title = "Kling V3.0 Standard"
wire = "novita-async"
route = "/v3/async/kling-v3.0-std-i2v"
task = "i2v"
fields = [
  {name = "image", wire = "image", type = "image", presence = "required"},
  {name = "last_image", wire = "end_image", type = "image", presence = "optional"},
  {name = "prompt", wire = "prompt", type = "string", max_length = 2500, presence = "required"},
  {name = "negative_prompt", wire = "negative_prompt", type = "string", max_length = 2500, presence = "optional"},
  {name = "duration", wire = "duration", type = "integer", min = 3, max = 15, default = 5, presence = "optional", priced = true},
  {name = "cfg_scale", wire = "cfg_scale", type = "number", min = 0, max = 1, default = 0.5, presence = "optional"},
  {name = "audio", wire = "sound", type = "boolean", default = false, presence = "optional", priced = true},
  {name = "resolution", presence = "forbidden"}, {name = "aspect_ratio", presence = "forbidden"}, {name = "seed", presence = "forbidden"}]
image = {formats = ["jpeg", "png"], max_bytes = 10000000, side_min = 300, ratio_min = 0.4, ratio_max = 2.5, encoding = "data_uri"}
sound = "flag:audio"
price = {kind = "per_second", rates = [{when = {audio = true}, usd = "0.126"}, {when = {audio = false}, usd = "0.084"}]}
settle = "quoted"
state = "active"
""",  # noqa: E501
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_row_without_comments_and_pixels_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "own.toml").write_text(EXAMPLES[name])
    model = video_models.load(str(tmp_path))[name]
    assert model.has_seed == (name != "kling-v3.0-std-i2v")


def test_a_price_per_token_without_pixels_is_unknown_and_the_check_says_so(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "own.toml").write_text(EXAMPLES["seedance-v1-pro-i2v"])
    settings.CATALOG_DIR = str(tmp_path)
    [warning] = [message for message in apps.check_settings() if message.id == "generations.W006"]
    assert warning.msg.startswith("seedance-v1-pro-i2v has no price: creates are refused.")
    settings.PRICES = '{"seedance-v1-pro-i2v": {"usd": {"480p": {"16:9": {"5": "0.40"}}}}}'
    assert "generations.W006" not in [message.id for message in apps.check_settings()]
    model, request = video_models.models()["seedance-v1-pro-i2v"], {"resolution": "480p", "aspect_ratio": "16:9"}
    assert prices.price_micro(model, {**request, "duration": 5}) == 400_000


def test_the_system_check_names_the_file(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "own.toml").write_text("id =")
    settings.CATALOG_DIR = str(tmp_path)
    [error] = [message for message in apps.check_settings() if message.id == "generations.E003"]
    assert error.msg.startswith(f"{tmp_path}/own.toml: the file is no TOML")


STARTS = {
    "check": ["manage.py", "check"],
    "worker": ["manage.py", "worker"],
    "web": ["-c", "import seedance_service.wsgi"],
    "sandbox": ["-c", "import deploy.sandbox.app"],
}


@pytest.mark.one_database
@pytest.mark.parametrize("command", STARTS.values(), ids=STARTS)
def test_a_start_ends_with_one_sentence(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "own.toml").write_text(text(head=HEAD + "colour = 1"))
    env = {
        "PATH": "/usr/bin:/bin",
        "SECRET_KEY": "tests",
        "DATABASE_URL": "sqlite://:memory:",
        "VAR_DIR": str(tmp_path),
    }
    env |= {"CATALOG_DIR": str(tmp_path), "SANDBOX_DIR": str(tmp_path / "sandbox"), "SANDBOX_URL": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/own.toml: colour: there is no such key; one of id, title, ")
    assert done.stderr.count("\n") == 1
