"""The doctor's checks of models: near ends, gone routes, and `--models`, which asks each route with a bogus key."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from generations.catalog import video_models
from generations.models import ModelState
from generations.ops import model_states
from generations.upstream import routes
from generations.upstream.novita import liveness
from seedance_service import model_checks
from seedance_service.findings import Finding
from tenants.audit import Actor
from tests.support import wired_models
from tests.support.upstream import Upstream, as_json, refusal

pytestmark = pytest.mark.django_db

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
OLGA = Actor(name="olga", reason="the vendor's notice")


def check_routes() -> list[Finding]:
    """Return the findings of Novita's own wire. The maker's wire has no free probe of a model, and one finding."""
    found = list(model_checks.check_routes())
    of_the_maker = [finding for finding in found if "novita over ark can not be asked for" in finding.fact]
    assert len(of_the_maker) == 1
    return [finding for finding in found if finding not in of_the_maker]


def routes_found(upstream: Upstream, living: set[str]) -> dict[str, tuple[str, str]]:
    """Return level and fact of each finding, at an upstream that has these routes."""
    asked: list[str] = []

    def answer(handler: Any) -> Any:
        """Refuse the key on a living route, and find no other."""
        asked.append(handler.headers["Authorization"])
        assert handler.headers["Authorization"] == f"Bearer {liveness.BOGUS_KEY}"
        name = handler.path.removeprefix("/v3/async/")
        return refusal(403, "INVALID_API_KEY") if name in living else refusal(404, "API_NOT_FOUND")

    upstream.on_submit = answer
    found = {finding.name: (finding.level, finding.fact) for finding in check_routes()}
    assert len(asked) == sum(model.route is not None for model in video_models.models().values()) + 2
    return found


def test_a_living_and_a_gone_route_are_told_apart_with_a_bogus_key(upstream: Upstream, settings: Any) -> None:
    found = routes_found(upstream, {LITE, "wan2.6-i2v"})
    assert found[f"route of {LITE}"] == ("ok", "lives")
    assert found[f"route of {PRO}"] == ("wrong", "is gone: HTTP 404 API_NOT_FOUND")
    assert found["route of wan2.6-i2v"] == ("ok", "lives, and the model is retired here")
    assert found["route of wan2.6-t2v"] == ("ok", "is gone, as the model is")
    assert all(submit == {} for submit in upstream.submits)
    assert not ModelState.objects.exists()
    assert not routes.find_gone().exists()


@pytest.mark.parametrize(
    "answer", [refusal(403, "INVALID_API_KEY"), refusal(500, "UNKNOWN"), as_json({"task_id": "created"})]
)
def test_a_probe_that_tells_nothing_fails_no_model(upstream: Upstream, answer: Any) -> None:
    """A gateway in front of all routes refuses the key, whether a route lives or not."""
    upstream.on_submit = answer
    [finding] = check_routes()
    assert (finding.name, finding.level) == ("routes", "warning")
    assert "a route that does not exist is answered with" in finding.fact


def test_an_upstream_that_can_not_be_reached_fails_no_model(settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://127.0.0.1:9"
    [finding] = check_routes()
    assert finding.level == "warning"


def test_a_route_with_another_answer_is_unclear(upstream: Upstream) -> None:
    def answer(handler: Any) -> Any:
        return refusal(400, "INVALID_REQUEST_BODY") if handler.path.endswith(LITE) else refusal(404, "API_NOT_FOUND")

    upstream.on_submit = answer
    found = {finding.name: finding for finding in check_routes()}
    assert found[f"route of {LITE}"].level == "warning"
    assert found[f"route of {LITE}"].fact == "is unclear: HTTP 400 INVALID_REQUEST_BODY"


@pytest.mark.parametrize(("days", "is_warned"), [(31, False), (30, True), (1, True)])
def test_an_end_is_warned_of_thirty_days_before(days: int, is_warned: bool) -> None:
    with time_machine.travel(datetime(2026, 11, 2, 12, tzinfo=UTC), tick=False):
        day = date(2026, 11, 2) + timedelta(days=days)
        model_states.deprecate(OLGA, video_models.models()[LITE], day, PRO)
        [finding] = model_checks.check_ends()
    warning = Finding("models", "warning", f"{LITE} ends in {days} days", f"Tell its callers to use {PRO}.")
    assert finding == (warning if is_warned else Finding("models", "ok", "no model ends within 30 days"))


@pytest.fixture
def ark(settings: Any) -> None:
    """Give the maker's account a key."""
    settings.ARK_API_KEY, settings.NOVITA_BASE_URL = "the-key-of-ark", "http://127.0.0.1:8"


def test_accounts_that_are_kept_apart_are_well(ark: None) -> None:
    assert list(model_checks.check_accounts()) == [Finding("accounts", "ok", "with a key: ark, novita")]


def test_models_without_an_account_that_has_a_key_are_named(settings: Any, tmp_path: Path) -> None:
    settings.CATALOG_DIR = wired_models.write(tmp_path, "acme-of-the-maker-1", "ark", ["ark"])
    [finding] = model_checks.check_accounts()
    assert finding.level == "warning"
    assert "acme-of-the-maker-1" in finding.fact
    assert LITE not in finding.fact
    settings.NOVITA_API_KEY, settings.ARK_API_KEY = "", "the-key-of-ark"
    [finding] = model_checks.check_accounts()
    assert LITE in finding.fact
    assert "acme-of-the-maker-1" not in finding.fact


def test_two_accounts_at_one_address_are_a_fault(ark: None, settings: Any) -> None:
    settings.ARK_BASE_URL = f"{settings.NOVITA_BASE_URL}/"
    [finding] = model_checks.check_accounts()
    assert (finding.level, finding.fact) == ("warning", "the accounts ark and novita have the same address")
    assert finding.fix == "Check ARK_BASE_URL and NOVITA_BASE_URL."


def test_a_live_key_that_the_sandbox_has_is_wrong(ark: None, settings: Any) -> None:
    settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY = "http://127.0.0.1:7", "the-key-of-ark"
    [finding] = model_checks.check_accounts()
    assert (finding.level, "ark is the sandbox's too" in finding.fact) == ("wrong", True)
    assert "ARK_API_KEY" in finding.fix


def test_a_trial_whose_live_upstream_is_the_sandbox_is_well(ark: None, settings: Any) -> None:
    settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY = settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY
    [finding] = model_checks.check_accounts()
    assert finding.level == "ok"


def test_a_model_whose_route_is_gone_is_wrong() -> None:
    routes.pause(LITE, "novita", "API_NOT_FOUND")
    [finding] = model_checks.check_ends()
    assert (finding.level, LITE in finding.fact) == ("wrong", True)
