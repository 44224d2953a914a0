"""A peer: polls as one would first write them with django-q2, one task of the queue for each poll.

A task asks the upstream, writes the progress of its row, and puts the next poll into the queue: a table of django-q2 in
the database that DATABASE_URL names. `python -m tests.bench.queued_polls URL` prints the polls a second.
"""

import os
import sys
import time
from typing import Any

import environ
import httpx
from django.conf import settings

WORKERS, IN_FLIGHT = 4, 200
WARM_UP_SECONDS, SECONDS = 3.0, 5.0

settings.configure(
    DATABASES={"default": environ.Env.db_url_config(os.environ["DATABASE_URL"])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django_q"],
    Q_CLUSTER={
        "name": "bench",
        "orm": "default",
        "workers": WORKERS,
        "timeout": 60,
        "retry": 120,
        "bulk": 10,
        "save_limit": -1,  # no result is stored
        "log_level": "ERROR",
    },
    SECRET_KEY="bench",
    USE_TZ=True,
)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.db.models import F, Sum  # noqa: E402
from django_q.cluster import Cluster  # noqa: E402
from django_q.tasks import async_task  # noqa: E402

_client = httpx.Client(trust_env=False)


class Rendering(models.Model):  # noqa: DJ008
    progress = models.IntegerField(default=0)
    polls = models.IntegerField(default=0)

    class Meta:
        app_label = "queued"


def poll(pk: int, url: str) -> None:
    """Ask once, and put the next poll into the queue."""
    answer: Any = _client.get(f"{url}/v3/async/task-result?task_id=up-{pk}").json()
    Rendering.objects.filter(pk=pk).update(progress=answer["task"]["progress_percent"], polls=F("polls") + 1)
    async_task(poll, pk, url)


def measure(url: str) -> float:
    """Return the polls a second of one cluster."""
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Rendering)
    for row in Rendering.objects.bulk_create(Rendering() for _ in range(IN_FLIGHT)):
        async_task(poll, row.pk, url)
    connection.close()  # or the cluster's processes would share it
    cluster = Cluster()
    cluster.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        before = _count()
        time.sleep(SECONDS)
        return (_count() - before) / SECONDS
    finally:
        cluster.stop()


def _count() -> int:
    return int(Rendering.objects.aggregate(polls=Sum("polls"))["polls"])


if __name__ == "__main__":
    # A task names its function by this module, which has another name while it is the program.
    sys.modules["tests.bench.queued_polls"] = sys.modules["__main__"]
    poll.__module__ = "tests.bench.queued_polls"
    print(measure(sys.argv[1]))
