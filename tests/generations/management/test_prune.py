"""The command `prune`."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generations import tasks
from generations.bucket import objects
from generations.ops import pruning
from tenants.db.engine import engine
from tenants.models import AuditEntry
from tests.support.factories import Caller
from tests.support.pruning import make_finished
from tests.support.stores import Store

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("bucket")
def test_prune_prints_lines_or_one_json_object(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    row = make_finished(alice, 40, video_size=1_234_567)
    out = StringIO()
    call_command("prune", "--dry-run", stdout=out)
    assert "videos                       1 would be deleted, 1.2 MB" in out.getvalue()
    assert objects.exists(row.video_key)
    out = StringIO()
    call_command("prune", "--json", stdout=out)
    printed = json.loads(out.getvalue())
    assert printed["dry_run"] is False
    assert printed["pruned"][0] == {"what": "videos", "count": 1, "bytes": 1_234_567, "note": "", "failed": 0}
    assert not objects.exists(row.video_key)
    [entry] = AuditEntry.objects.filter(action="prune")  # none of the dry run
    assert (entry.tenant, entry.changes["videos"]) == (None, 1)
    assert entry.actor.startswith("shell:")


def test_prune_ends_with_1_and_says_what_s3_did_not_delete(alice: Caller, settings: Any, store: Store) -> None:
    settings.VIDEO_DAYS = 30
    stays, goes = make_finished(alice, 50), make_finished(alice, 40)
    store.undeletable = {stays.video_key}
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("prune", stdout=out)
    assert ended.value.code == 1
    assert "(1 could not be deleted)" in out.getvalue()
    assert re.search(r"still in the bucket +1 the first since .* UTC: AccessDenied", out.getvalue())
    assert list(store.objects) == [stays.video_key]
    out = StringIO()
    call_command("prune", "--json", stdout=out)  # nothing was to be deleted now: the search for orphans is done daily
    printed = json.loads(out.getvalue())
    assert (printed["undeleted"], sum(kind["failed"] for kind in printed["pruned"])) == (1, 0)
    assert goes.video_key not in store.objects


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("ahead", [timedelta(days=40), timedelta(minutes=-2)])
def test_nothing_is_deleted_while_the_clocks_differ(
    alice: Caller, settings: Any, monkeypatch: Any, ahead: timedelta
) -> None:
    """One of the two clocks is wrong: a host whose clock is 40 days ahead would delete the videos of today."""
    settings.VIDEO_DAYS = 30
    row = make_finished(alice, 40)
    monkeypatch.setattr(engine, "clock_difference", lambda: ahead)
    with pytest.raises(CommandError, match="Nothing was deleted"):
        call_command("prune")
    with pytest.raises(pruning.ClocksDiffer):
        tasks.prune()
    assert objects.exists(row.video_key)
    call_command("prune", "--dry-run", stdout=StringIO())  # deletes nothing
    monkeypatch.setattr(engine, "clock_difference", lambda: timedelta(seconds=5))
    call_command("prune", stdout=StringIO())
    assert not objects.exists(row.video_key)
