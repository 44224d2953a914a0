"""What PostgreSQL may lose at a crash or a failover is named, and no more than that."""

from typing import Any

import pytest
from django.db import connection

from seedance_service import doctor
from tenants.db.engine import engine
from tenants.db.operations import Risk
from tenants.db.postgresql_server import durability_risks

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


@pytest.mark.parametrize(
    "standbys", [[], [("a", "sync")], [("a", "quorum"), ("b", "async")], [("b", "sync"), ("c", "potential")]]
)
@pytest.mark.parametrize("commit", ["on", "remote_apply", "remote_write"])
def test_a_server_that_loses_no_commit_is_no_risk(standbys: Any, commit: str) -> None:
    assert durability_risks({**SAFE, "synchronous_commit": commit}, standbys) == []


@pytest.mark.parametrize(
    ("settings", "standbys", "words"),
    [
        ({"fsync": "off"}, [], "fsync is off"),
        ({"full_page_writes": "off"}, [], "full_page_writes is off"),
        ({"synchronous_commit": "off"}, [], "synchronous_commit is off"),
        ({}, [("berlin", "async")], "berlin: asynchronous"),
        ({}, [("berlin", "potential")], "berlin: asynchronous"),
        ({}, [(None, None)], "a standby: asynchronous, or not shown to this role"),
        ({"synchronous_commit": "local"}, [("berlin", "sync")], "synchronous_commit is local"),
    ],
)
def test_each_way_to_lose_a_commit_is_named_with_its_mend(settings: Any, standbys: Any, words: str) -> None:
    [risk] = durability_risks({**SAFE, **settings}, standbys)
    assert words in risk.fact
    assert risk.fix.endswith(".")


def test_two_ways_are_two_risks() -> None:
    assert len(durability_risks({**SAFE, "fsync": "off"}, [("berlin", "async")])) == 2


@pytest.mark.django_db
def test_the_doctor_asks_the_server_and_warns(monkeypatch: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
    else:
        assert engine.durability_risks() == []
        monkeypatch.setattr(engine, "durability_risks", lambda: [Risk("synchronous_commit is off: x", "Set it.")])
    found = [finding for finding in doctor.check_database() if finding.name == "durability"]
    assert any("synchronous_commit is off" in finding.fact for finding in found)
    assert {finding.level for finding in found} == {doctor.WARNING}
