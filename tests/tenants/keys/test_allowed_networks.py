"""A key is used only from the networks that its own list and its tenant's list have."""

from typing import Any

import pytest

from tenants import actions
from tenants.keys.throttle import MAX_WRONG_KEYS
from tenants.models import ApiKey
from tests.support.factories import ACTOR, Caller

PATH = "/v1/generations"


def get(caller: Caller, address: str, forwarded: str | None = None, path: str = PATH) -> Any:
    """Send a request from the address, with the header that proxies write."""
    return caller.http.get(
        path, REMOTE_ADDR=address, **({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    )


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        ([], "203.0.113.9", 200),
        ([], "", 200),
        (["192.0.2.0/24"], "192.0.2.7", 200),
        (["192.0.2.0/24"], "192.0.3.7", 403),
        (["192.0.2.7"], "192.0.2.7", 200),
        (["192.0.2.7"], "192.0.2.8", 403),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", 200),
        (["192.0.2.0/24"], "::ffff:192.0.3.7", 403),
        (["::ffff:192.0.2.0/120"], "192.0.2.7", 200),
        (["192.0.2.0/24"], "2002:c000:207::1", 403),
        (["2001:db8:1:2::/64"], "2001:db8:1:2::7", 200),
        (["2001:db8:1:2::/64"], "2001:db8:1:3::7", 403),
        (["2001:db8:1:2::7"], "2001:db8:1:2::7", 200),
        (["2001:db8:1:2::7"], "2001:db8:1:2::8", 403),
        (["2001:db8:1:2::7"], "2001:DB8:1:2:0::7", 200),
        (["::/0"], "192.0.2.7", 403),
        (["0.0.0.0/0", "::/0"], "192.0.2.7", 200),
        (["0.0.0.0/0", "::/0"], "", 403),
        (["0.0.0.0/0", "::/0"], "unix:", 403),
        (["198.51.100.0/24", "192.0.2.0/24"], "192.0.2.7", 200),
    ],
    ids=[
        "no list",
        "no list, no address",
        "inside",
        "outside",
        "the address",
        "its neighbour",
        "mapped inside",
        "mapped outside",
        "mapped network",
        "6to4 is no IPv4",
        "IPv6 inside",
        "IPv6 outside",
        "the IPv6 address",
        "another of its /64",
        "written otherwise",
        "all of IPv6",
        "everything",
        "no address",
        "Unix socket",
        "the second network",
    ],
)
@pytest.mark.parametrize("holder", ["tenant", "key"])
def test_a_request_comes_from_a_network_on_the_list(
    alice: Caller, holder: str, networks: list[str], address: str, status: int
) -> None:
    if holder == "tenant":
        actions.change_tenant(ACTOR, alice.tenant, allowed_networks=networks)
    else:
        actions.change_key(ACTOR, alice.key, allowed_networks=networks)
    assert get(alice, address).status_code == status


@pytest.mark.parametrize(
    ("hops", "socket", "forwarded", "status"),
    [
        (0, "192.0.2.7", None, 200),
        (0, "203.0.113.9", "192.0.2.7", 403),
        (1, "203.0.113.9", "192.0.2.7", 200),
        (1, "203.0.113.9", "192.0.2.7, 198.51.100.1", 403),
        (1, "192.0.2.7", "198.51.100.1", 403),
        (1, "203.0.113.9", "[2001:db8::7]:4711", 200),
        (1, "203.0.113.9", "::ffff:192.0.2.7", 200),
    ],
    ids=["direct", "forged", "behind a proxy", "forged further left", "the proxy's own", "IPv6 with a port", "mapped"],
)
def test_the_address_is_the_one_that_the_outermost_proxy_saw(
    alice: Caller, settings: Any, hops: int, socket: str, forwarded: str | None, status: int
) -> None:
    settings.PROXY_HOPS = hops
    actions.change_tenant(ACTOR, alice.tenant, allowed_networks=["192.0.2.0/24", "2001:db8::/32"])
    assert get(alice, socket, forwarded).status_code == status


@pytest.mark.parametrize(
    ("address", "status"), [("192.0.2.7", 200), ("192.0.2.200", 403), ("198.51.100.7", 403), ("203.0.113.9", 403)]
)
def test_the_lists_of_the_key_and_the_tenant_both_apply(alice: Caller, address: str, status: int) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_networks=["192.0.2.0/24"])
    actions.change_key(ACTOR, alice.key, allowed_networks=["192.0.2.0/25", "198.51.100.0/24"])
    assert get(alice, address).status_code == status
    assert get(alice.with_key(), "192.0.2.200").status_code == 200  # another key of the tenant has no list


def test_the_refusal_names_the_address_and_not_the_list(alice: Caller, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    actions.change_tenant(ACTOR, alice.tenant, allowed_networks=["192.0.2.0/24"])
    answer = get(alice, "10.0.0.1", "2001:db8:1:2:3::7")
    assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")
    assert answer.json()["detail"] == (
        "This API key may not be used from the address that the service saw: 2001:db8:1:2:3::7."
    )
    assert "192.0.2" not in answer.content.decode()
    wire = get(alice, "10.0.0.1", "198.51.100.1", "/v3/async/task-result")
    assert (wire.status_code, wire.json()["code"], wire.json()["reason"]) == (403, 403, "API_NOT_ALLOWED")
    assert "198.51.100.1" in wire.json()["message"]
    assert "saw: unknown." in get(alice, "", "").json()["detail"]


def test_a_refused_address_is_neither_a_wrong_key_nor_a_use(alice: Caller) -> None:
    actions.change_key(ACTOR, alice.key, allowed_networks=["192.0.2.0/24"])
    for _ in range(MAX_WRONG_KEYS + 1):
        assert get(alice, "203.0.113.9").json()["code"] == "address_not_allowed"
    assert ApiKey.objects.get(pk=alice.key.pk).last_used_at is None
    assert get(alice, "192.0.2.7").status_code == 200


def test_a_wrong_key_is_told_nothing_of_networks(alice: Caller) -> None:
    actions.change_key(ACTOR, alice.key, allowed_networks=["192.0.2.0/24"])
    actions.revoke_key(ACTOR, alice.key)
    assert get(alice, "203.0.113.9").json()["code"] == "invalid_api_key"


def test_every_address_of_the_api_is_refused(alice: Caller) -> None:
    actions.change_key(ACTOR, alice.key, allowed_networks=["192.0.2.0/24"])
    for path in ("/v1/limits", "/v1/usage", "/v1/generations", "/v1/webhook-endpoints", "/v3/async/task-result"):
        assert get(alice, "203.0.113.9", path=path).status_code == 403
    create = alice.http.post(PATH, {"image": "https://example.com/a.png"}, format="json", REMOTE_ADDR="203.0.113.9")
    assert create.json()["code"] == "address_not_allowed"
