"""The doctor's checks of the bucket: what may be done there, checksums, credentials, signed URLs and deletions."""

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator

from django.conf import settings
from django.db import Error

from generations.bucket import checksums, client, self_test, signed_urls, undeleted
from generations.bucket.errors import StorageError
from seedance_service.clock_checks import check_clock
from seedance_service.findings import OK, WARNING, WRONG, Finding

CHECK_NAME_AND_KEYS = "Check the bucket's name and the keys."


def check_bucket() -> Iterator[Finding]:
    """Check what the service's role may do with the bucket, signed URLs, and the bucket's clock."""
    if not settings.S3_BUCKET:
        yield Finding("bucket", WRONG, "S3_BUCKET is not set", "Set it to a private bucket of your own.")
        return
    key, step = f"doctor/{secrets.token_hex(16)}", ""
    try:
        yield _check_credentials()
        at = client.ping()
        for step in self_test.run(key):
            if step == "ListBucket":
                yield from _check_signed_urls(key)
    except StorageError as error:
        fact, fix = self_test.explain_refusal(error)
        otherwise = f"Give the service's role {step.split()[0]} on that bucket." if step else CHECK_NAME_AND_KEYS
        yield Finding("bucket", WRONG, f"{step or 'HeadBucket'}: {fact}", fix or otherwise)
        return
    yield Finding("bucket", OK, "objects can be put, read, listed and deleted, and are not overwritten")
    yield _check_checksums()
    yield check_clock("bucket", at)


def _check_checksums() -> Finding:
    """Try a wrong checksum once."""
    try:
        are_compared = checksums.try_wrong()
    except StorageError as error:
        return Finding("checksums", WRONG, f"a wrong checksum could not be tried: {error}", CHECK_NAME_AND_KEYS)
    if are_compared:
        return Finding("checksums", OK, "the store refuses bytes that differ from the SHA-256 of their request")
    fact = (
        "the store takes bytes that differ from the SHA-256 of their request, so each video is read back after its copy"
    )
    return Finding("checksums", WARNING, fact, "A store that compares checksums saves a third of each copy's traffic.")


def _check_credentials() -> Finding:
    facts = self_test.describe_credentials()
    if facts.is_shorter:
        fix = "Signed URLs end with the session: lower SIGNED_URL_TTL, or use credentials that last longer."
        return Finding("credentials", WARNING, facts.fact, fix)
    return Finding("credentials", OK, facts.fact)


def _check_signed_urls(key: str) -> Iterator[Finding]:
    """Check that a signed URL works over HTTP at S3_PUBLIC_URL, as for callers, and a wrong signature does not."""
    url = signed_urls.signer().sign(key, content_type="text/plain", file_name="doctor")
    status, status_of_wrong = _status(url), _status(url.replace("Signature=", "Signature=0"))
    if status != 200:
        fix = "Set S3_PUBLIC_URL to an address where callers, and this host, reach S3."
        yield Finding("signed URLs", WRONG, f"answer to a signed URL: {status}", fix)
    elif status_of_wrong == 200:
        fix = "Use an S3 that checks signatures, and make the bucket private."
        yield Finding("signed URLs", WRONG, "a URL with a wrong signature is served too", fix)
    else:
        yield Finding("signed URLs", OK, "a signed URL is served, and refused with a wrong signature")


def _status(url: str) -> int | str:
    """Return the HTTP status of a URL, or a sentence if there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # our own URL, http or https
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError as error:
        return f"no answer ({type(error).__name__})"


def check_deletions() -> Iterator[Finding]:
    """Check that S3 has deleted what it was asked to."""
    try:
        stays = undeleted.summarize()
    except Error:
        return  # check_database has reported that
    if not stays.count:
        yield Finding("deletions", OK, "S3 has deleted all that was to be deleted")
        return
    reasons = ", ".join(stays.reasons)
    fact = f"{stays.count} objects could not be deleted, the first since {stays.since:%Y-%m-%d}: {reasons}"
    fix = "Let the service's role delete objects, and end retention locks; each is tried again by itself."
    yield Finding("deletions", WARNING, fact, fix)
