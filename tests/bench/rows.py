"""Rows that a measurement needs, created inside a process in which Django is set up."""

from typing import Any

from django.db import connection
from django.utils import timezone

from generations.intake import record
from generations.models import Generation
from tenants.models import ApiKey
from tests.bench import database, lists


def finish_newest(name: str) -> str:
    """Give the tenant's newest generation a video, and return its id. `name` makes its keys unique."""
    newest = Generation.objects.order_by("-created_at").first()
    assert newest is not None
    facts = {"status": "succeeded", "due_at": None, "finished_at": timezone.now(), "upstream_id": f"up-{name}"}
    facts |= {"video_key": f"videos/1/{name}.mp4", "video_sha256": "ab" * 32, "video_size": 9, "poster_key": "p.jpg"}
    Generation.objects.filter(pk=newest.pk).update(**facts)
    return str(newest.pk)


def make_template(key: ApiKey) -> Any:
    """Create the generation of which others are copies, as the service does, and return it."""
    facts = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 7}
    facts |= {"seed_source": "caller", "image_url": "https://example.com/a.png", "price_micro": 1}
    row = Generation(tenant=key.tenant, api_key=key, created_at=timezone.now(), upstream_id="template", **facts)
    record.admit_and_record(row)
    return row


def fill(count: int) -> None:
    """Copy the template until there are `count` generations, one for each second from 2020 on."""
    template = Generation.objects.filter(upstream_id="template").first()
    if template is None:
        template = make_template(ApiKey.objects.select_related("tenant").get())
    existing = Generation.objects.count()
    changed = {column: sql.format(other=template.api_key_id) for column, sql in lists.CHANGED.items()}
    numbered = lists.NUMBERED.format(rows=count).replace("generate_series(1,", f"generate_series({existing + 1},")
    with connection.cursor() as cursor:
        if existing < count:
            database.copy(template, changed, numbered)
        cursor.execute("VACUUM ANALYZE generations_generation")
        cursor.execute("CHECKPOINT")  # or the copied rows are written out while the first creates are measured
