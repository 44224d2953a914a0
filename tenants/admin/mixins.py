"""What the panel's lists share: rows are read, and a list of a million of them is never counted."""

from typing import Any

from django.http import HttpRequest
from unfold.paginator import InfinitePaginator


class ReadOnly:
    """For a ModelAdmin whose rows nobody adds, edits or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Long:
    """For a list of millions of rows, in the order of its primary key: it has a next page, and no last one."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 30
    list_max_show_all = 0
    list_disable_select_all = True  # an act is done to what was looked at
    ordering = ("-pk",)
    sortable_by = ()  # any other order would sort them all
