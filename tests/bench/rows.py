"""Rows that a measurement needs, created inside a process in which Django is set up."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from generations.intake import record
from generations.models import Generation
from tenants.models import ApiKey
from tests.bench import database


def finish_newest(count: int, name: str) -> str:
    """Give the tenant's newest generations a video, and return the id of one. `name` makes their keys unique."""
    facts = {"status": "succeeded", "due_at": None, "finished_at": timezone.now()}
    facts |= {"video_sha256": "ab" * 32, "video_size": 9, "poster_key": "p.jpg"}
    newest = list(Generation.objects.order_by("-created_at").values_list("pk", flat=True)[:count])
    for number, pk in enumerate(newest):
        own = {"upstream_id": f"up-{name}-{number}", "video_key": f"videos/1/{name}-{number}.mp4"}
        Generation.objects.filter(pk=pk).update(**facts, **own)
    return str(newest[0])


def make_template(key: ApiKey) -> Any:
    """Create the generation of which others are copies, as the service does, and return it."""
    facts = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 7}
    facts |= {"seed_source": "caller", "image_url": "https://example.com/a.png", "price_micro": 1}
    row = Generation(tenant=key.tenant, api_key=key, created_at=timezone.now(), upstream_id="template", **facts)
    record.admit_and_record(row)
    return row


@dataclass(frozen=True)
class Dialect:
    """How a database makes many rows from one."""

    numbers: str  # rows of n, from {first} to {last}
    at: str  # the time of creation by n, one second each from 2020 on
    generation_id: str  # by made_at and n, in the order of time
    finished_at: str  # by made_at
    labelled: str  # the metadata


DIALECTS = {
    "postgresql": Dialect(
        numbers="SELECT n FROM generate_series({first}, {last}) n",
        at="timestamptz '2020-01-01' + n * interval '1 second'",
        generation_id="(lpad(to_hex(floor(extract(epoch FROM made_at) * 1000)::bigint), 12, '0') || '7' "
        "|| lpad(to_hex(n %% 4096), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid",
        finished_at="made_at + interval '40 seconds'",
        labelled='\'{{"team": "web"}}\'::jsonb',
    ),
    "sqlite": Dialect(
        numbers="SELECT value AS n FROM (WITH RECURSIVE counted(value) AS (SELECT {first} UNION ALL "
        "SELECT value + 1 FROM counted WHERE value < {last}) SELECT value FROM counted)",
        at="datetime('2020-01-01', '+' || n || ' seconds')",
        generation_id="printf('%%012x', strftime('%%s', made_at) * 1000) || '7' || printf('%%03x', n %% 4096) "
        "|| '8' || printf('%%015x', n)",
        finished_at="datetime(made_at, '+40 seconds')",
        labelled='\'{{"team": "web"}}\'',
    ),
}
# A row in a thousand has failed, one in ten thousand has a rare label.
CHANGED = {
    "id": "made_id",
    "created_at": "made_at",
    "seed": "CASE WHEN n %% 4 = 0 THEN 7 ELSE n END",
    "api_key_id": "CASE WHEN n %% 4 = 1 THEN {other_key} ELSE api_key_id END",
    "external_id": "CASE WHEN n %% 4 = 2 THEN 'campaign' ELSE 'job-' || n END",
    "metadata": "{labelled}",
    "status": "CASE WHEN n %% 1000 = 0 THEN 'failed' ELSE 'succeeded' END",
    "error_code": "CASE WHEN n %% 1000 = 0 THEN 'upstream_failed' ELSE '' END",
    "error_message": "CASE WHEN n %% 1000 = 0 THEN 'No.' ELSE '' END",
    "due_at": "NULL",
    "finished_at": "{finished_at}",
    "submitted_at": "made_at",
    "upstream_id": "'up-' || n",
    "video_key": "'videos/1/' || n || '.mp4'",
    "video_sha256": f"'{'ab' * 32}'",
    "video_size": "9",
    "poster_key": "'videos/1/' || n || '.jpg'",
}
LABELS = """
    INSERT INTO generations_label (generation_id, tenant_id, test, created_at, name, value)
    SELECT id, tenant_id, test, created_at, 'team', CASE WHEN seed = 7 THEN 'web' WHEN seed % 10000 = 1 THEN 'zoo'
        ELSE 'app' END FROM generations_generation
"""


def copy(template: Generation, first: int, last: int, other_key: int) -> None:
    """Copy a generation for each number from `first` to `last`. A quarter of the copies have the other key."""
    dialect = DIALECTS[connection.vendor]
    filled = {**asdict(dialect), "other_key": other_key}
    changed = {column: sql.format(**filled).replace("{{", "{").replace("}}", "}") for column, sql in CHANGED.items()}
    timed = f"SELECT n, {dialect.at} AS made_at FROM ({dialect.numbers.format(first=first, last=last)}) numbers"
    database.copy(template, changed, f"SELECT n, made_at, {dialect.generation_id} AS made_id FROM ({timed}) timed")


def label() -> None:
    """Give each generation its label."""
    with connection.cursor() as cursor:
        cursor.execute(LABELS)


def fill(count: int) -> None:
    """Copy the template until there are `count` generations, one for each second from 2020 on."""
    template = Generation.objects.filter(upstream_id="template").first()
    if template is None:
        template = make_template(ApiKey.objects.select_related("tenant").get())
    existing = Generation.objects.count()
    if existing < count:
        copy(template, existing + 1, count, other_key=template.api_key_id)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE generations_generation")
            cursor.execute("CHECKPOINT")  # or the copied rows are written out while the first creates are measured
