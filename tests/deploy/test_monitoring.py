"""Test that alerts, dashboard and runbook name existing things: exported metrics, sections, actions and commands."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from generations.admin import action_pages
from generations.catalog import charge_by_usage
from generations.models import DeliveryAttempt, Generation, ModelState, UpstreamBooks
from generations.reports import prometheus, worker_hosts
from generations.telemetry import metrics
from generations.upstream import accounts, outcomes, routes
from seedance_service.docs import tables

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())["panels"]
RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text()
SECTIONS = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
PAIRS = {"(": ")", "[": "]", "{": "}"}
PROMQL = set("absent and by count histogram_quantile increase max min offset on or rate sum unless".split())
PROMQL |= set("call field host le limit mode model outcome percent reason state status upstream".split())
LABEL_VALUES = {
    "status": set(Generation.LIVE),
    "state": set(Generation.FINISHED),
    "mode": {metrics.mode(test=test) for test in (False, True)},
    "outcome": {
        *outcomes.LABELS.values(),
        "trouble",
        "account",
        "wrong_task",
        *DeliveryAttempt.Outcome,
        *charge_by_usage.OUTCOMES,
    },
    "call": {"submit", "poll"},
    "upstream": {"live", *accounts.names()},
}
MARKED = {"Check", "Do", "Over", "Start web alone first"}  # bold words of the runbook that are no actions
SAMPLES = {
    "accepted_total": "mode model",
    "refused_total": "limit",
    "limit_warnings_total": "limit percent",
    "submitted_total": "mode model upstream",
    "finished_total": "mode state reason model upstream",
    "settled_total": "mode model outcome upstream",
    "upstream_calls_total": "call outcome upstream",
    "searches_total": "outcome upstream",
    "copied_bytes_total": "",
    "video_differences_total": "mode field",
    "deliveries_total": "outcome",
    "waiters": "",
    "generations_live": "status",
    "generations_due": "",
    "generations_stalled": "",
    "generations_uncopied": "",
    "generations_waiting_for_copy": "",
    "oldest_due_seconds": "",
    "undeleted_objects": "",
    "submits_paused": "upstream",
    "model_submits_waiting": "model",
    "manual_pauses": "",
    "polls_paused": "upstream",
    "model_retires_in_days": "model",
    "model_routes_gone": "model",
    "balance_usd": "upstream",
    "balance_days_left": "upstream",
    "bill_difference_usd": "upstream",
    "bills_read_age_seconds": "upstream",
    "worker_restarts_total": "host",
    "worker_heartbeat_age_seconds": "host",
}
HISTOGRAM_LABELS = {"accept_to_video_seconds": {"model"}}  # of those that have any
HISTOGRAMS = ["accept_seconds", "submit_seconds", "upstream_seconds", "poll_lag_seconds", "copy_seconds", "copy_bytes"]
HISTOGRAMS += ["accept_to_video_seconds"]
PARTS = ("bucket", "count", "sum")
NAME, SELECTED = re.compile(r"seedance_[a-z_]+"), re.compile(r"(seedance_[a-z_]+)\{([^}]*)\}")


def used(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in NAME.findall(expression)}


@pytest.fixture
def exported(db: None, settings: Any) -> dict[str, set[str]]:
    """Return the labels of each name that Prometheus would store, after each event has happened once."""
    worker_hosts.record_heartbeat()
    settings.NOVITA_BILLS = True
    now = timezone.now()
    read = {"bills_at": now, "first_hour": now, "bills_until": now, "checked_until": now}
    UpstreamBooks.objects.create(account="novita", available_micro=1, daily_micro=1, **read)
    routes.pause("seedance-v1-lite-i2v", "novita", "API_NOT_FOUND")
    day = timezone.now().date() + timedelta(days=400)
    ModelState.objects.create(model="seedance-v1-pro-i2v", state="deprecated", retires_at=day, reason="a notice")
    for metric in {id(one): one for one in metrics.registry._names_to_collectors.values()}.values():
        one: Any = metric
        one = one.labels(*("x" for _ in one._labelnames)) if one._labelnames else one
        getattr(one, "inc", getattr(one, "observe", None))(0)
    families = text_string_to_metric_families(prometheus.render().decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def test_names_and_labels_are_those_that_rules_hold(exported: dict[str, set[str]]) -> None:
    """Operators have alerts and dashboards of their own: no name and no label may change. Labels may be added."""
    histograms = {
        f"{name}_{part}": ({"le"} if part == "bucket" else set()) | HISTOGRAM_LABELS.get(name, set())
        for name in HISTOGRAMS
        for part in PARTS
    }
    expected = {name: set(labels.split()) for name, labels in SAMPLES.items()} | histograms
    assert {name.removeprefix("seedance_"): labels for name, labels in exported.items()} == expected


def test_each_name_in_alerts_and_dashboard_is_exported(exported: dict[str, set[str]]) -> None:
    assert used([rule["expr"] for rule in RULES]) - set(exported) == set()
    assert used(QUERIES) - set(exported) == set()


def test_each_label_in_a_query_belongs_to_its_metric(exported: dict[str, set[str]]) -> None:
    for expression in [*(rule["expr"] for rule in RULES), *QUERIES]:
        for name, selector in SELECTED.findall(expression):
            assert set(re.findall(r"(\w+)[=!]", selector)) <= exported[name], expression


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in RULES), *QUERIES])
def test_each_expression_uses_functions_of_prometheus(expression: str) -> None:
    plain = re.sub(r'"[^"]*"', "", expression)
    closed: list[str] = []
    for sign in re.findall(r"[][(){}]", plain):
        if sign in PAIRS:
            closed.append(PAIRS[sign])
        else:
            assert closed
            assert closed.pop() == sign
    assert not closed
    words = re.findall(r"\b[a-z_]\w*", re.sub(r"\{[^}]*\}|\[[^]]*\]|\b\d+[smhd]\b", "", plain))
    assert {word for word in words if not word.startswith("seedance_")} <= PROMQL


def test_each_label_value_in_a_query_is_one_that_is_exported() -> None:
    for expression in [*(rule["expr"] for rule in RULES), *QUERIES]:
        for _, selector in SELECTED.findall(expression):
            for label, values in re.findall(r'(\w+)[!=]?[=~]"([^"]*)"', selector):
                assert label == "reason" or set(values.split("|")) <= LABEL_VALUES[label], expression


def test_each_metric_is_on_the_dashboard(exported: dict[str, set[str]]) -> None:
    on_dashboard = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in used(QUERIES)}
    in_metrics = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in exported}
    assert in_metrics - on_dashboard == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_what_it_is_and_has_its_section(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "warn")
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"]
    file, _, section = notes["runbook_url"].partition("#")
    assert file == "RUNBOOK.md"
    assert section in SECTIONS


def test_the_runbook_has_no_section_of_an_alert_that_was_removed() -> None:
    sections = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in RULES}
    assert {section for section in SECTIONS if section.startswith("seedance")} == sections


def test_the_runbook_names_only_actions_and_commands_that_exist() -> None:
    actions = {page.title for page in action_pages.PAGES.values()}
    assert {"Attach upstream task", "Retry copy", "Run next step now", "Fail and release hold"} <= actions
    assert "(../docs/ACTIONS.md)" in RUNBOOK
    for name in re.findall(r"\*\*([A-Z][a-z]+ ?[a-z ]*)\*\*", RUNBOOK.partition("## Alerts")[2]):
        assert f"\n| {name} |" in tables.actions() or name in MARKED, name
    for command in set(re.findall(r"manage\.py ([\w-]+\w)", RUNBOOK)):
        assert command in get_commands(), command


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        squares = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not squares & taken, panel["title"]
        taken |= squares
        assert place["x"] + place["w"] <= 24
