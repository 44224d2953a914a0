"""Fixtures for the tests of operators' actions."""

from typing import Any

import pytest

from generations.models import Generation
from tenants import actions
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.in_doubt import MakeInDoubt, run_steps, status
from tests.support.upstream import Upstream


@pytest.fixture
def make_in_doubt(alice: Caller, bucket: Any, upstream: Upstream) -> MakeInDoubt:
    """Return a function that loses the answer to a submit, and then lets the worker apply the tenant's policy."""

    def make(on_doubt: str = "hold") -> Generation:
        """Return a generation of alice's after the policy was applied."""
        actions.change_tenant(ACTOR, alice.tenant, on_doubt=on_doubt)
        generation = make_generation(alice, seed=7)
        assert generation.image is not None
        bucket.put_object(Bucket="seedance-tests", Key=generation.image.key, Body=b"abc")
        answer, upstream.on_submit = upstream.on_submit, lambda handler: None
        run_steps()
        upstream.on_submit = answer
        assert status(generation) == "in_doubt"
        run_steps()
        generation.refresh_from_db()
        return generation

    return make
