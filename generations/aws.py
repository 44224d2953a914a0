"""The sessions of boto3: whose credentials sign what is sent to the bucket and to SQS, and when they are renewed.

boto3's own chain decides: the environment, a profile, the shared files, a web identity, the container's or the
instance's role. Its provider of the environment reads our settings, since each of them may come from a file.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.session
import structlog
from botocore.credentials import (
    EnvProvider,
    RefreshableCredentials,
    create_credential_resolver,
)
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, NoCredentialsError
from django.conf import settings

Answer = TypeVar("Answer")
Keys = tuple[str, str, str]  # a key's id, its secret and its token, each of which may be empty

log = structlog.stdlib.get_logger(__name__)

DEFAULT_REGION = "us-east-1"
AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
# Credentials that end before a URL would are renewed ahead of botocore's own time, which is 15 minutes before their
# end. Many agents give the same credentials again, so they are asked seldom: after a tenth of the time that is left.
MIN_RENEWAL_SECONDS, RETRY_SECONDS = 60.0, 5.0
# From then on a call to S3 fails if the credentials cannot be renewed. Botocore's own 10 minutes would waste as many.
MANDATORY_SECONDS = 30

_lock = threading.Lock()
_sessions = dict[tuple[int, Keys, str], tuple[boto3.session.Session, "Held"]]()


class Held:
    """The credentials of one session. They are loaded once, and renewed for as long as their source gives new ones."""

    def __init__(self, core: botocore.session.Session) -> None:
        self._core, self._lock, self._next_ask = core, threading.Lock(), 0.0
        self._credentials: Any = None  # of botocore, whose types leave out what renewing needs

    @property
    def method(self) -> str:
        """Botocore's name of the source, such as `env`, `container-role` or `assume-role-with-web-identity`."""
        return str(self.load().method)

    def current(self, needed_seconds: int) -> tuple[Any, datetime | None]:
        """Return botocore's frozen credentials, and the time at which they end; None if they do not say.

        Credentials that end within `needed_seconds` are renewed first, if their source gives later ones. Raise
        BotoCoreError if there are none, or none that are still valid.
        """
        credentials = self.load()
        if not _has_end(credentials):
            return credentials.get_frozen_credentials(), None
        if credentials.refresh_needed(needed_seconds):
            self._renew(credentials)
        # In this order: a renewal between the two only makes the reported end too early.
        ends_at, frozen = credentials._expiry_time, credentials._frozen_credentials
        if ends_at is None or frozen is None or ends_at <= datetime.now(UTC):
            raise CredentialRetrievalError(provider=credentials.method, error_msg="no valid credentials")
        return frozen, ends_at

    def load(self) -> Any:
        """Return the credentials' object. One thread at a time asks the chain, which may take seconds.

        Raise BotoCoreError if there are none. A failure holds for RETRY_SECONDS, so that threads do not queue for it.
        """
        if self._credentials is None:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._ask_chain()
        return self._credentials

    def _ask_chain(self) -> Any:
        if time.monotonic() < self._next_ask:
            raise NoCredentialsError
        credentials: Any
        try:
            credentials = _checked(self._core.get_credentials, "chain")()
        finally:
            self._next_ask = time.monotonic() + RETRY_SECONDS
        if credentials is None:
            raise NoCredentialsError
        if _has_end(credentials):
            credentials._mandatory_refresh_timeout = MANDATORY_SECONDS
            credentials._refresh_using = _checked(credentials._refresh_using, credentials.method)
        self._next_ask = 0.0
        return credentials

    def _renew(self, credentials: Any) -> None:
        """Ask the source for new credentials, unless it was asked just now. Log what fails: the old ones may do."""
        # Who has valid credentials does not wait for the thread that asks already.
        if not self._lock.acquire(blocking=credentials.refresh_needed(1)):
            return
        try:
            if time.monotonic() < self._next_ask:
                return
            try:
                with credentials._refresh_lock:
                    credentials._protected_refresh(is_mandatory=True)
            except (BotoCoreError, RuntimeError) as error:
                log.warning(
                    "the credentials can not be renewed", source=credentials.method, trouble=type(error).__name__
                )
                self._next_ask = time.monotonic() + RETRY_SECONDS
            else:
                left = credentials._seconds_remaining()
                self._next_ask = time.monotonic() + max(RETRY_SECONDS, min(left, max(MIN_RENEWAL_SECONDS, left / 10)))
        finally:
            self._lock.release()


def _has_end(credentials: Any) -> bool:
    return isinstance(credentials, RefreshableCredentials)


def bucket_session() -> tuple[boto3.session.Session, Held]:
    """Return this process's session for the bucket, and its credentials. Raise BotoCoreError if a profile is missing.

    S3_ACCESS_KEY_ID and its secret belong to the bucket alone, and come before all that AWS's variables say.
    """
    if settings.S3_ACCESS_KEY_ID or settings.S3_SECRET_ACCESS_KEY:
        keys = (settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY, settings.S3_SESSION_TOKEN)
        return _session(keys, settings.S3_REGION)
    return _session(_aws_keys(), settings.S3_REGION)


def queue_session(region: str) -> boto3.session.Session:
    """Return a session for SQS. The keys of a store that is not AWS's are no keys of AWS's, and are not sent there."""
    return _session(_aws_keys() if _are_keys_of_aws() else ("", "", ""), region)[0]


def _aws_keys() -> Keys:
    return settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY, settings.AWS_SESSION_TOKEN


def _are_keys_of_aws() -> bool:
    """Return whether AWS_ACCESS_KEY_ID is meant for AWS, or for a stand-in of SQS, and not for another store."""
    host = urlsplit(settings.S3_ENDPOINT_URL).hostname or ""
    has_stand_in = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"))
    return not host or host.endswith(AWS_DOMAINS) or bool(settings.S3_ACCESS_KEY_ID) or has_stand_in


def _session(keys: Keys, region: str) -> tuple[boto3.session.Session, Held]:
    """Return this process's session with these keys: each URL that is signed asks for it, so no lock is taken."""
    name = (os.getpid(), keys, region)  # no lock of a session may be shared across a fork
    if (found := _sessions.get(name)) is None:
        with _lock:
            found = _sessions.get(name) or _sessions.setdefault(name, _new_session(keys, region))
    return found


def _new_session(keys: Keys, region: str) -> tuple[boto3.session.Session, Held]:
    """Create a session, whose provider of the environment has these keys."""
    core = botocore.session.Session()
    region = region or core.get_config_variable("region") or DEFAULT_REGION
    session = boto3.session.Session(botocore_session=core, region_name=region)
    resolver = create_credential_resolver(core, cache=_Forgetful(), region_name=region)
    provider: Any = resolver.get_provider(EnvProvider.METHOD)  # which a profile's role may use too
    provider.environ = _environment(keys)
    core.register_component("credential_provider", resolver)
    return session, Held(core)


def _environment(keys: Keys) -> dict[str, str]:
    """Return what boto3's provider of the environment reads in place of the environment."""
    names = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), keys, strict=True))
    if keys == _aws_keys():
        names |= {name: os.environ.get(name, "") for name in ("AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION")}
    return {name: value for name, value in names.items() if value}


class _Forgetful(dict[str, Any]):
    """A cache of assumed roles that holds nothing: a renewal ahead of time would be given the old session again."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Store nothing."""


def _checked(ask: Callable[[], Answer], method: str) -> Callable[[], Answer]:
    """Return a function that asks for credentials, and raises CredentialRetrievalError whatever goes wrong.

    An agent's answer without a field, a token file that is gone and the like are else errors of other kinds.
    """

    def ask_checked() -> Answer:
        try:
            return ask()
        except BotoCoreError:
            raise
        except Exception as error:  # each source has its own client with its own errors
            raise CredentialRetrievalError(provider=method, error_msg=type(error).__name__) from error

    return ask_checked
