"""The search for generations: each kind of search term is looked up in an index, so no search reads every row."""

import re
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from generations.models import Generation, InputImage
from tenants.models import ApiKey

HELP = "Search by id, upstream id, external id, key prefix, seed, or SHA-256 of the video or an image."
MAX_TERM_CHARS = 255  # of an external id, the longest term
SHA256, KEY = re.compile(r"[0-9a-f]{64}", re.I), re.compile(r"(sds_(?:live|test)_[0-9A-Za-z]{12})(?:_.*)?")
SEED = re.compile(r"-?[0-9]{1,18}")


def find(rows: QuerySet[Generation], term: str) -> QuerySet[Generation]:
    """Return the rows that match the search term: all rows for an empty term, none for an impossible term."""
    term = term.strip()
    if not term or len(term) > MAX_TERM_CHARS or not term.isprintable():
        return rows.none() if term else rows
    return rows.filter(_condition(term))


def _condition(term: str) -> Q:
    """Return the condition of every kind that the term may be: an upstream or external id can look like any word."""
    condition = Q(external_id=term) | Q(upstream_id=term)
    if key := KEY.fullmatch(term):  # the prefix is enough, also where a whole key was pasted
        return Q(api_key__in=list(ApiKey.objects.filter(prefix=key[1]).values_list("pk", flat=True)))
    if SHA256.fullmatch(term):
        condition |= _by_sha256(term.lower())
    if SEED.fullmatch(term):
        condition |= Q(seed=int(term))
    if generation_id := _parse_uuid(term):
        condition |= Q(pk=generation_id)
    return condition


def _by_sha256(sha256: str) -> Q:
    images = list(InputImage.objects.filter(sha256=sha256).values_list("pk", flat=True))
    return Q(video_sha256=sha256) | Q(image__in=images) | Q(last_image__in=images)


def _parse_uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


class SearchMixin:
    """Add the search to a ModelAdmin of generations."""

    search_fields = ("id",)  # makes Django show the search box; get_search_results does the search
    search_help_text = HELP

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Return the rows that match the search term. False says that no row can occur twice."""
        return find(queryset, search_term), False
