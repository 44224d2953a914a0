"""Generations for the tests of the worker's steps."""

from typing import Any

import pytest

from generations.bucket import inputs
from generations.media.images import inspect
from generations.models import Generation
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes
from tests.support.upstream import Upstream
from tests.support.worker import take_steps_until


@pytest.fixture
def queued(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    """Return a queued generation whose image is in the bucket."""
    return make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())), seed=1234)


@pytest.fixture
def running(queued: Generation) -> Generation:
    """Return a generation that the upstream has created."""
    return take_steps_until(queued, Generation.Status.RUNNING)
