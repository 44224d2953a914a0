"""Operators hide, deprecate, retire and restore a model; what is queued by a retirement fails and is released."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine

from generations.bucket import inputs
from generations.catalog import states, video_models
from generations.catalog.states import ModelStatus
from generations.media.images import inspect
from generations.models import Generation, ManualPause, ModelState
from generations.ops import model_states, submit_pauses
from generations.worker import submit, task_requests
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import AuditEntry
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.images import image_bytes
from tests.support.patching import patch_library
from tests.support.upstream import Upstream
from tests.support.worker import claim, ledger_kinds, take_step

LITE, PRO, KLING = (
    video_models.models()[name] for name in ("seedance-v1-lite-i2v", "seedance-v1-pro-i2v", "kling-v3.0-std-i2v")
)
WAN = video_models.models()["wan2.6-i2v"]
OLGA = Actor(name="olga", reason="the vendor's notice")
TODAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def noon(db: None) -> Any:
    """Stop the time at noon of a day."""
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def queued(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    """Return a queued generation whose image is in the bucket."""
    return make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())))


def state_of(model: video_models.VideoModel) -> ModelStatus:
    return states.read(model)


def test_each_action_stores_the_state_with_its_audit_entry(noon: Any) -> None:
    model_states.deprecate(OLGA, LITE, date(2026, 12, 1), PRO.id)
    assert state_of(LITE) == ModelStatus(states.State.DEPRECATED, TODAY, date(2026, 12, 1), PRO.id)
    model_states.hide(OLGA, LITE)
    assert state_of(LITE) == ModelStatus(states.State.HIDDEN, TODAY, date(2026, 12, 1), PRO.id)
    noon.shift(timedelta(days=1))
    model_states.retire(OLGA, LITE)
    assert state_of(LITE) == ModelStatus(states.State.RETIRED, TODAY, date(2026, 11, 3), PRO.id)
    model_states.restore(OLGA, LITE)
    assert state_of(LITE) == ModelStatus(states.State.ACTIVE, None, None, None)
    entries = AuditEntry.objects.filter(action__startswith="model: ").order_by("id")
    assert [(entry.action, entry.target, entry.actor, entry.reason) for entry in entries] == [
        (f"model: {action}", LITE.id, "olga", "the vendor's notice")
        for action in ("deprecate", "hide", "retire", "restore")
    ]
    before = {"state": "active", "retires_at": None, "replacement": LITE.row.replacement}
    assert entries[0].changes["before"] == before
    assert entries[0].changes["after"] == {"state": "deprecated", "retires_at": "2026-12-01", "replacement": PRO.id}


def test_a_model_that_its_file_retires_is_active_again_once_it_is_restored(noon: Any) -> None:
    assert state_of(WAN).is_retired
    model_states.restore(OLGA, WAN)
    assert state_of(WAN) == ModelStatus(states.State.ACTIVE, None, None, None)


REFUSED: dict[str, Any] = {
    "no such model": lambda: model_states.deprecate(OLGA, LITE, None, "sora"),
    "its own place": lambda: model_states.retire(OLGA, LITE, LITE.id),
    "a circle": lambda: model_states.deprecate(OLGA, PRO, None, LITE.id),
    "a longer circle": lambda: model_states.retire(OLGA, KLING, LITE.id),
    "a day in the past": lambda: model_states.deprecate(OLGA, KLING, date(2026, 11, 1), ""),
    "the present day": lambda: model_states.deprecate(OLGA, KLING, TODAY, ""),
    "no reason": lambda: model_states.hide(ACTOR, KLING),
    "retired: hide": lambda: model_states.hide(OLGA, WAN),
    "retired: retire": lambda: model_states.retire(OLGA, WAN),
    "retired: deprecate": lambda: model_states.deprecate(OLGA, WAN),
    "active: restore": lambda: model_states.restore(OLGA, KLING),
}


@pytest.mark.parametrize("action", REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(noon: Any, action: str) -> None:
    model_states.deprecate(OLGA, LITE, None, PRO.id)
    model_states.deprecate(OLGA, PRO, None, KLING.id)
    before = list(ModelState.objects.values())
    with pytest.raises(NotPossible):
        REFUSED[action]()
    assert list(ModelState.objects.values()) == before
    assert AuditEntry.objects.filter(action__startswith="model").count() == 2


def test_queued_generations_of_a_retired_model_fail_and_are_released(queued: Generation, upstream: Upstream) -> None:
    running = take_step(queued)
    assert running.status == "running"
    late = make_generation(Caller("late"), image=None, image_url="https://pictures.example.com/a.png")
    sent = len(upstream.submits)
    assert model_states.retire(OLGA, LITE, PRO.id) == 1
    late = take_step(late)
    assert (late.status, late.error_code) == ("failed", "model_retired")
    assert late.error_message.startswith(f"The model {LITE.id} is retired since ")
    assert f"Use {PRO.id} in its place" in late.error_message
    assert ledger_kinds(late) == ["hold", "release"]
    assert (len(upstream.submits), take_step(running).status) == (sent, "running")


def test_the_day_itself_ends_what_is_queued(queued: Generation, upstream: Upstream) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    model_states.deprecate(OLGA, LITE, tomorrow)
    with time_machine.travel(datetime.combine(tomorrow, datetime.min.time(), UTC), tick=False):
        assert take_step(queued).error_code == "model_retired"
    assert upstream.submits == []


def test_a_paused_generation_fails_at_once_when_its_model_is_retired(queued: Generation, upstream: Upstream) -> None:
    submit_pauses.pause_submits(OLGA, ManualPause.Scope.ALL)
    waiting = take_step(queued)
    assert waiting.outage_since
    model_states.retire(OLGA, LITE)
    waiting.refresh_from_db()
    assert waiting.due_at
    assert waiting.due_at <= datetime.now(UTC)
    assert take_step(waiting).error_code == "model_retired"


def test_no_attempt_is_recorded_after_the_retirement(queued: Generation, upstream: Upstream, monkeypatch: Any) -> None:
    """The model is retired after the step has looked at it, and before the attempt's transaction."""
    build = task_requests.build

    def retire(*args: Any) -> Any:
        model_states.retire(OLGA, LITE)
        return build(*args)

    monkeypatch.setattr(task_requests, "build", retire)
    submit.submit(claim(queued))
    assert Generation.objects.get(pk=queued.pk).error_code == "model_retired"
    assert not queued.attempts.exists()
    assert upstream.submits == []


def test_an_attempt_that_waits_for_its_moment_is_not_sent_after_the_retirement(
    queued: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(submit.rate_limit, "reserve", lambda _: 0.01)
    patch_library(monkeypatch, submit, time, sleep=lambda seconds: model_states.retire(OLGA, LITE))
    submit.submit(claim(queued))
    assert [attempt.outcome for attempt in queued.attempts.all()] == ["not_sent"]
    assert take_step(queued).error_code == "model_retired"
    assert upstream.submits == []


def test_a_generation_in_doubt_stays_as_it_is(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = lambda handler: None
    doubtful = take_step(queued)
    assert doubtful.status == "in_doubt"
    model_states.retire(OLGA, LITE)
    assert take_step(doubtful).status == "in_doubt"
    assert ledger_kinds(doubtful) == ["hold"]
