"""SECRET_KEY encrypts stored secrets. Only this key and the fallback keys decrypt them."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption, endpoints, signing_secrets
from tenants.models import AuditEntry
from tests.support.factories import ACTOR, Caller
from tests.support.webhooks import ENDPOINT_URL, make_endpoint


def test_an_encrypted_text_can_be_decrypted_and_does_not_show_the_secret() -> None:
    encrypted = encryption.encrypt("whsec_abc")
    assert "abc" not in encrypted
    assert encryption.encrypt("whsec_abc") != encrypted
    assert encryption.decrypt(encrypted) == "whsec_abc"


def test_a_fallback_key_still_decrypts_and_encrypts_nothing_new(settings: Any) -> None:
    settings.SECRET_KEY = "old"
    old = encryption.encrypt("whsec_abc")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    assert encryption.decrypt(old) == "whsec_abc"
    new = encryption.reencrypt(old)
    settings.SECRET_KEY_FALLBACKS = []
    assert encryption.decrypt(new) == "whsec_abc"
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(old)


@pytest.mark.parametrize("broken", ["", "x", "gAAAAA", "not base64 at all ü"])
def test_a_text_that_was_never_encrypted_raises_key_lost(broken: str) -> None:
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(broken)


def test_another_use_of_the_same_secret_has_another_key(settings: Any, monkeypatch: Any) -> None:
    encrypted = encryption.encrypt("whsec_abc")
    encryption._fernet.cache_clear()
    monkeypatch.setattr(encryption, "PURPOSE", b"something else")
    with pytest.raises(encryption.KeyLost):
        encryption.decrypt(encrypted)
    encryption._fernet.cache_clear()


@pytest.mark.django_db
def test_after_a_change_of_the_key_all_secrets_are_encrypted_by_the_new_key(alice: Caller, settings: Any) -> None:
    endpoint, secret = endpoints.create(ACTOR, alice.tenant, ENDPOINT_URL, test=False)
    new, _ = endpoints.rotate_secret(ACTOR, endpoint)
    own, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    call_command("reseal", "--reason", "a new key each year")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.tenant, entry.reason) == ("reseal webhook secrets", None, "a new key each year")
    assert entry.changes == {"encrypted": 2, "lost": 0}
    settings.SECRET_KEY_FALLBACKS = []
    endpoint = WebhookEndpoint.objects.get()
    assert signing_secrets.for_delivery(Delivery(endpoint=endpoint)) == [new, secret]
    assert signing_secrets.for_delivery(Delivery(tenant=alice.tenant, test=False))[0] == own


@pytest.mark.django_db
def test_a_secret_that_no_key_decrypts_is_named_and_the_others_are_encrypted(alice: Caller, settings: Any) -> None:
    endpoint, secret = endpoints.create(ACTOR, alice.tenant, ENDPOINT_URL, test=False)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    other = make_endpoint(alice)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "third", ["another"]
    with pytest.raises(CommandError, match=str(endpoint.pk)):
        call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []
    other.refresh_from_db()
    assert len(signing_secrets.for_delivery(Delivery(endpoint=other))) == 1
    settings.SECRET_KEY_FALLBACKS = [old]
    assert signing_secrets.for_delivery(Delivery(endpoint=endpoint)) == [secret]
