"""The fixtures of the tests of the model maker's own wire."""

from typing import Any

import pytest

from generations.upstream.ark.wire import WIRE
from generations.upstream.protocol import Account
from tests.support.upstream import Upstream


@pytest.fixture
def account(upstream: Upstream, settings: Any) -> Account:
    """Return the maker's account, which leads to the scripted upstream."""
    settings.ARK_BASE_URL, settings.ARK_API_KEY = f"{upstream.url}/api/v3", "key-of-ark-in-the-tests"
    return next(account for account in WIRE.accounts() if account.name == "ark")
