"""What ops look for, whatever it is: each kind of name is found by an index of its own, and by nothing else."""

import re
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from generations.models import Generation, InputImage
from tenants.models import ApiKey

HELP = "By id, upstream id, external id, key prefix, seed or SHA-256 of the video or of a picture."
LONGEST = 255  # characters of an external id
SHA256, KEY = re.compile(r"[0-9a-f]{64}", re.I), re.compile(r"(sds_(?:live|test)_[0-9A-Za-z]{12})(?:_.*)?")
SEED = re.compile(r"-?[0-9]{1,18}")


def find(rows: QuerySet[Generation], term: str) -> QuerySet[Generation]:
    term = term.strip()
    if not term or len(term) > LONGEST or not term.isprintable():
        return rows.none() if term else rows
    return rows.filter(_condition(term))


def _condition(term: str) -> Q:
    """A name may be of more than one kind: an upstream's id, or a caller's, looks like any other word."""
    named = Q(external_id=term) | Q(upstream_id=term)
    if key := KEY.fullmatch(term):  # of a whole key, should one be pasted, the prefix is enough
        return Q(api_key__in=list(ApiKey.objects.filter(prefix=key[1]).values_list("pk", flat=True)))
    if SHA256.fullmatch(term):
        named |= _by_sha256(term.lower())
    if SEED.fullmatch(term):
        named |= Q(seed=int(term))
    if identity := _uuid(term):
        named |= Q(pk=identity)
    return named


def _by_sha256(sha256: str) -> Q:
    images = list(InputImage.objects.filter(sha256=sha256).values_list("pk", flat=True))
    return Q(video_sha256=sha256) | Q(image__in=images) | Q(last_image__in=images)


def _uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


class Search:
    """For a ModelAdmin over generations."""

    search_fields = ("id",)  # that there is a box; get_search_results says what is found
    search_help_text = HELP

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return find(queryset, search_term), False
