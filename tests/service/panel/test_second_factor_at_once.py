"""A code of the second factor lets one of two requests in, also if both come at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.http_client import Client
from tests.service.panel.test_second_factor import PAGE, code_of
from tests.support.panel import log_in

AT_ONCE = 4


def at_once(run: Any) -> list[Any]:
    """Run the function in some threads at the same time, and return what it returns."""
    together = threading.Barrier(AT_ONCE)

    def start(number: int) -> Any:
        """Run when the others do."""
        try:
            together.wait()
            return run(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(start, range(AT_ONCE)))


@pytest.mark.django_db(transaction=True)
def test_a_code_is_used_once_and_one_authenticator_is_set_up(settings: Any) -> None:
    settings.STAFF_TOTP = True
    olga = User.objects.create_superuser("olga")
    clients: list[Client] = [log_in(olga) for _ in range(AT_ONCE)]
    assert at_once(lambda number: clients[number].get(PAGE).status_code) == [200] * AT_ONCE
    assert TOTPDevice.objects.filter(user=olga).count() == 1
    code = code_of(olga)
    assert sorted(at_once(lambda number: clients[number].post(PAGE, {"code": code}).status_code)) == [
        200,
        200,
        200,
        302,
    ]
