"""Whose credentials sign: boto3's chain with our settings as its environment, and sessions of a role that end."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, NoCredentialsError

from generations import aws
from tests.support.aws_agent import Agent, Answer, session_of
from tests.support.patching import patch_library

pytestmark = pytest.mark.usefixtures("no_credentials")
Start = Callable[..., Agent]
BUCKETS_OWN = {"S3_ACCESS_KEY_ID": "STORE", "S3_SECRET_ACCESS_KEY": "store-secret", "S3_SESSION_TOKEN": "store-token"}
WEB_IDENTITY = "assume-role-with-web-identity"
STORE = {"S3_ENDPOINT_URL": "https://minio.internal:9000"}


def of_bucket(needed: int = 0) -> tuple[str, str, str | None]:
    """Return key, secret and token that sign for the bucket."""
    found, _ = aws.bucket_session()[1].current(needed)
    return found.access_key, found.secret_key, found.token


def of_queue() -> tuple[str, str, str | None]:
    """Return key, secret and token that sign for SQS."""
    found = aws.queue_session("eu-central-1").get_credentials()
    assert found is not None
    return found.access_key, found.secret_key, found.token


def give(settings: Any, **values: str) -> None:
    """Set settings."""
    for name, value in values.items():
        setattr(settings, name, value)


def test_key_secret_and_token_go_together_to_bucket_and_queue(settings: Any) -> None:
    give(settings, AWS_ACCESS_KEY_ID="ASIA", AWS_SECRET_ACCESS_KEY="secret", AWS_SESSION_TOKEN="token")
    assert of_bucket() == of_queue() == ("ASIA", "secret", "token")


def test_a_profile_decides_where_no_key_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=D\naws_secret_access_key=d\n"
        "[videos]\naws_access_key_id=V\naws_secret_access_key=v\naws_session_token=t\n"
    )
    (tmp_path / "config").write_text("[profile videos]\nregion=eu-west-3\n")
    assert of_bucket() == of_queue() == ("D", "d", None)
    monkeypatch.setenv("AWS_PROFILE", "videos")
    aws._sessions.clear()
    assert of_bucket() == of_queue() == ("V", "v", "t")


def test_the_region_is_the_settings_or_the_profiles_or_the_default(settings: Any, tmp_path: Path) -> None:
    settings.S3_REGION = ""
    assert aws.bucket_session()[0].region_name == "us-east-1"
    (tmp_path / "config").write_text("[default]\nregion=eu-west-3\n")
    aws._sessions.clear()
    assert aws.bucket_session()[0].region_name == "eu-west-3"
    settings.S3_REGION = "sa-east-1"
    assert aws.bucket_session()[0].region_name == "sa-east-1"
    assert aws.queue_session("eu-central-1").region_name == "eu-central-1"


def test_a_key_comes_before_a_containers_role_and_the_role_before_nothing(agent: Start, settings: Any) -> None:
    agent(session_of(minutes=600))
    assert of_bucket() == of_queue() == ("ASIAROLE", "secret-of-the-role", "token-of-the-session")
    give(settings, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="secret")
    assert of_bucket() == of_queue() == ("AKIA", "secret", None)


def test_the_keys_of_another_store_do_not_go_to_sqs(agent: Start, settings: Any) -> None:
    agent(session_of(minutes=600))
    give(settings, AWS_ACCESS_KEY_ID="minio", AWS_SECRET_ACCESS_KEY="secret", **STORE)
    assert of_bucket()[0] == "minio"
    assert of_queue()[0] == "ASIAROLE"


@pytest.mark.parametrize("url", ["https://s3.eu-central-1.amazonaws.com", "https://bucket.vpce-1.s3.amazonaws.com.cn"])
def test_an_address_of_aws_has_aws_keys(url: str, settings: Any) -> None:
    give(settings, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="secret", S3_ENDPOINT_URL=url)
    assert of_queue() == of_bucket() == ("AKIA", "secret", None)


def test_a_stand_in_of_sqs_gets_the_keys_too(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    give(settings, AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="secret", **STORE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566")
    assert of_queue()[0] == "local"


def test_a_bucket_may_have_keys_of_its_own(settings: Any) -> None:
    give(settings, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="secret", AWS_SESSION_TOKEN="token")
    give(settings, **STORE, **BUCKETS_OWN)
    assert of_bucket() == ("STORE", "store-secret", "store-token")
    assert of_queue() == ("AKIA", "secret", "token")


@pytest.mark.parametrize("names", [["AWS_ACCESS_KEY_ID"], ["S3_ACCESS_KEY_ID"], ["S3_SECRET_ACCESS_KEY"], []])
def test_half_a_key_or_none_is_an_error_of_boto3(names: list[str], settings: Any) -> None:
    give(settings, **dict.fromkeys(names, "value"))
    with pytest.raises(BotoCoreError):
        of_bucket()


def test_a_session_that_is_long_enough_is_not_renewed(agent: Start) -> None:
    source = agent(session_of(minutes=120))
    assert of_bucket(3600) == of_bucket(3600)
    assert source.asked == 1


def test_a_session_that_ends_too_soon_is_renewed_first(agent: Start) -> None:
    source = agent(session_of(minutes=20), session_of(minutes=360, token="second"))
    _, ends_at = aws.bucket_session()[1].current(3600)
    assert of_bucket(3600)[2] == "second"
    assert source.asked == 2
    assert ends_at is not None
    assert ends_at > datetime.now(UTC) + timedelta(hours=5)


def test_an_agent_without_a_later_session_is_not_asked_for_each_url(agent: Start) -> None:
    source = agent(session_of(minutes=20))
    for _ in range(50):
        _, ends_at = aws.bucket_session()[1].current(3600)
        assert ends_at is not None
        assert ends_at < datetime.now(UTC) + timedelta(minutes=20)
    assert source.asked == 2


def test_valid_credentials_serve_on_while_the_agent_fails(agent: Start) -> None:
    source = agent(session_of(minutes=8), (500, {}))
    for _ in range(20):
        assert of_bucket(3600)[2] == "token-of-the-session"
    assert source.asked == 1 + 3  # three tries of one renewal, by botocore


@pytest.mark.parametrize("broken", [(500, {}), (200, {"AccessKeyId": "a"}), session_of(minutes=-5), (200, {})])
def test_credentials_that_have_ended_are_an_error_and_not_asked_for_in_a_row(broken: Answer, agent: Start) -> None:
    source = agent(session_of(minutes=-1), broken)
    for _ in range(20):
        with pytest.raises(CredentialRetrievalError):
            of_bucket(3600)
    assert source.asked <= 1 + 3


@pytest.mark.parametrize("broken", [(500, {}), (200, {"AccessKeyId": "a"}), (200, {})])
def test_an_agent_that_fails_at_first_is_asked_again(
    broken: Answer, agent: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = agent(broken)
    for _ in range(20):
        with pytest.raises(BotoCoreError):
            of_bucket()
    assert source.asked <= 3
    source.answers = [session_of(minutes=600)]
    now = time.monotonic()
    patch_library(monkeypatch, aws, time, monotonic=lambda: now + 2 * aws.RETRY_SECONDS)
    assert of_bucket()[0] == "ASIAROLE"


def test_an_assumed_role_is_assumed_again_and_not_taken_from_a_cache(tmp_path: Path) -> None:
    resolver = aws.bucket_session()[0]._session.get_component("credential_provider")
    cache = resolver.get_provider("assume-role").cache
    cache["role"] = {"Credentials": {}}
    assert "role" not in cache


def test_a_web_identity_without_its_token_file_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/videos")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "missing"))
    with pytest.raises(CredentialRetrievalError):
        of_bucket()
    assert aws.bucket_session()[1].method == WEB_IDENTITY


def test_an_end_named_in_the_environment_is_known(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    give(settings, AWS_ACCESS_KEY_ID="ASIA", AWS_SECRET_ACCESS_KEY="secret", AWS_SESSION_TOKEN="token")
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=20)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    assert aws.bucket_session()[1].current(3600)[1] == ends


def test_no_instance_role_is_no_credentials() -> None:
    with pytest.raises(NoCredentialsError):
        of_bucket()


@pytest.mark.usefixtures("_aws")
def test_a_web_identity_is_exchanged_for_a_session_and_again_before_a_url_is_cut_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("token-of-the-cluster")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)  # of the stand-in for AWS
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/videos")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    held = aws.bucket_session()[1]
    first, ends_at = held.current(60)
    assert (held.method, first.access_key[:4], ends_at is not None) == (WEB_IDENTITY, "ASIA", True)
    assert held.current(7200)[0] == first  # it is new, and the exchange is not repeated for each URL
    now = time.monotonic()
    patch_library(monkeypatch, aws, time, monotonic=lambda: now + 3600 / 10)
    assert held.current(7200)[0].access_key != first.access_key
    assert aws.queue_session("eu-central-1").get_credentials().method == WEB_IDENTITY


def test_a_profiles_role_is_assumed_with_the_keys_of_our_settings(settings: Any) -> None:
    """As `credential_source = Environment` says: a key that came from a file stands in no variable."""
    give(settings, AWS_ACCESS_KEY_ID="AKIAFILE", AWS_SECRET_ACCESS_KEY="secret-of-the-file")
    resolver = aws.bucket_session()[0]._session.get_component("credential_provider")
    sources = resolver.get_provider("assume-role")._credential_sourcer
    assert sources.source_credentials("Environment").access_key == "AKIAFILE"
