"""Fixtures of the webhook tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.receiver import Receiver, run_receiver


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Run a receiver that answers 204."""
    with run_receiver(settings) as receiver:
        yield receiver
