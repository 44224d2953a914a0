"""Scrapes of /metrics, and their samples."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-for-metrics"
Samples = dict[tuple[str, ...], float]  # by the sample's name and the values of its labels


def scrape(client: Any, token: str = TOKEN) -> Any:
    """Return the answer of GET /metrics with that bearer token."""
    return client.get("/metrics", headers={"Authorization": f"Bearer {token}"})


def parse(text: bytes) -> Samples:
    """Return the samples of a Prometheus text."""
    families = text_string_to_metric_families(text.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def read_samples(client: Any) -> Samples:
    """Scrape /metrics and return the samples."""
    answer = scrape(client)
    assert answer.status_code == 200
    return parse(answer.content)
