"""An act of ops as a page: it asks why, does it by the act's own verb, and shows what came of it. A GET does nothing.

The acts here are those on tenants and keys; generations bring their own.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action

from tenants import actions, times
from tenants.admin import forms
from tenants.audit import Actor
from tenants.errors import NotPossible, Refusal
from tenants.keys.key_format import NewKey
from tenants.models import ApiKey, Tenant

MOST_CHOSEN = 100  # rows that one act is done to at once, each in a transaction of its own


class Page(NamedTuple):
    """One act, its words and its form."""

    title: str
    sentence: str  # what it will do
    form: type[forms.ActForm]
    verb: Callable[..., Any]
    variant: str = "primary"  # of its button


class Once(NamedTuple):
    """What is shown to who made it, and never again."""

    title: str
    sentence: str
    text: str
    note: str = ""  # of what it replaces


def mint(actor: Actor, tenant: Tenant, **facts: Any) -> Once:
    return _once(actions.create_key(actor, tenant, **facts))


def roll(actor: Actor, key: ApiKey, overlap: timedelta) -> Once:
    return _once(*actions.roll_key(actor, key, overlap))


def _once(new: NewKey, old_ends: datetime | None = None) -> Once:
    sentence = "It is shown only this once, and only its digest is kept: copy it now."
    note = f"The old key is good until {times.readable(old_ends)} UTC." if old_ends else ""
    return Once("The new key", sentence, new.text, note)


def revoke(actor: Actor, key: ApiKey) -> None:
    """As administration's, that also says so where there was nothing to do."""
    if not actions.revoke_key(actor, key):
        raise NotPossible(reason="It was revoked before.")


SUSPEND = Page(
    "Suspend",
    "New generations are refused; running ones finish, and their videos can be fetched.",
    forms.ActForm,
    actions.suspend,
    "danger",
)
RESUME = Page("Resume", "New generations are taken again.", forms.ActForm, actions.resume)
ADJUST = Page(
    "Adjust the bill",
    "An amount is put on this month's bill, and taken from this month's budget.",
    forms.AdjustForm,
    actions.adjust,
)
MINT = Page(
    "Mint a key",
    "The key is shown this once, on the page that follows. Its own limits cap this key alone; empty: no limit.",
    forms.MintForm,
    mint,
)
CHANGE_KEY = Page(
    "Change the key",
    "Its own limits cap this key alone, within those of its tenant; empty: no limit.",
    forms.ChangeKeyForm,
    actions.change_key,
)
ROLL = Page(
    "Roll the key",
    "A new key that may do what this one may is shown this once, on the page that follows; this one ends afterwards.",
    forms.RollForm,
    roll,
)
REVOKE = Page("Revoke the key", "It is refused from now on, for ever.", forms.ActForm, revoke, "danger")


def button(page: Page, icon: str, label: str = "", *, permissions: Sequence[str] = ("act",), path: str = "") -> Any:
    """Return a method of a ModelAdmin that opens `page` for one row; `actions_detail` lists it by its name there.

    `label`: of the button, where it is not the page's title. `path`: in its address, where it is not the method's name.
    """

    def open_page(model_admin: "Acts", request: HttpRequest, object_id: str) -> HttpResponse:
        return model_admin.run_action(request, object_id, page)

    decorated: Any = action(description=label or page.title, icon=icon, permissions=permissions, url_path=path or None)
    return decorated(open_page)


def list_action(page: Page) -> Any:
    """Return an action of a ModelAdmin's list that does `page`'s act to each row that is chosen."""

    def open_page(model_admin: "Acts", request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return model_admin.act_on_all(request, rows, page)

    return admin.action(open_page, description=page.title, permissions=["act"])


class Acts:
    """What a ModelAdmin needs to offer such pages."""

    admin_site: Any
    opts: Any
    get_object: Callable[..., Any]

    def address_of(self, row: Any) -> str:
        """Where an act leads to when it is done: the row's own page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may act on such rows, which stay read-only all the same."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Return the buttons of a row's page, without those that make no sense where the row stands."""
        found = super().get_actions_detail(request, object_id)  # type: ignore[misc]  # unfold's
        row = self.get_object(request, object_id)
        vain = {f"{self.opts.app_label}_{self.opts.model_name}_{name}" for name in self.impossible(row)} if row else ()
        return [offered for offered in found if offered.action_name not in vain]

    def impossible(self, row: Any) -> Collection[str]:
        """Return the names of the acts that make no sense where the row stands."""
        return ()

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead to the audit log, which has what ops did to the row: Django's own history has nothing of it."""
        return HttpResponseRedirect(listed("auditentry", **self.audit_query(request, object_id)))

    def audit_query(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Return how the audit log's list finds the entries of a row."""
        return {"target__exact": object_id}

    def list_address(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def run_action(self, request: HttpRequest, object_id: str, page: Page, back: str = "") -> HttpResponse:
        """`back`: where to when it is done, if not to the row's own page."""
        return self.ask(request, self.row_of(request, object_id), page, back)

    def row_of(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row. Raise Http404 where there is none."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def ask(self, request: HttpRequest, row: Model | None, page: Page, back: str = "") -> HttpResponse:
        """Ask, or do what was asked for; what the verb refuses is an error of the form. No row: it makes one."""
        form = page.form(request.POST if request.method == "POST" else None, row=row)
        if form.is_valid():
            try:
                outcome = page.verb(act_of(request, form), *([row] if row else []), **form.facts())
            except Refusal as error:
                form.add_error(None, ValidationError(str(error)))
            else:
                return self._done(request, page, row, outcome, back)
        return self._rendered(request, "tenants/act.html", page, row, form=form)

    def act_on_all(self, request: HttpRequest, rows: QuerySet[Any], page: Page) -> HttpResponse:
        """The act on each row that was chosen in the list, with one reason: what one refuses keeps no other from it."""
        form = page.form(request.POST if "reason" in request.POST else None, row=None)
        chosen = list(rows[:MOST_CHOSEN])
        if form.is_valid():
            self._do_all(request, page, chosen, form)
            return HttpResponseRedirect(request.get_full_path())
        return self._rendered(request, "tenants/act.html", page, None, form=form, chosen=chosen)

    def _do_all(self, request: HttpRequest, page: Page, chosen: Sequence[Any], form: forms.ActForm) -> None:
        done = 0
        for row in chosen:
            try:
                page.verb(act_of(request, form), row, **form.facts())
                done += 1
            except Refusal as error:
                messages.warning(request, f"{row}: {error}")
        messages.success(request, f"{page.title}: done for {done} of {len(chosen)}.")

    def _done(self, request: HttpRequest, page: Page, row: Model | None, outcome: Any, back: str) -> HttpResponse:
        if isinstance(outcome, Once):
            # The answer to the POST itself: its text goes into no session, no address and no log, nor into a cache:
            # `admin_view`, through which every page goes, says no-store.
            return self._rendered(request, "tenants/shown_once.html", page, row, once=outcome)
        messages.success(request, f"{page.title}: done for {row}.")
        return HttpResponseRedirect(back or self._back(row))

    def _rendered(
        self, request: HttpRequest, template: str, page: Page, row: Model | None, **context: Any
    ) -> TemplateResponse:
        shown = {"opts": self.opts, "original": row, "title": page.title, "page": page, "back": self._back(row)}
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **shown, **context})

    def _back(self, row: Model | None) -> str:
        return self.address_of(row) if row else self.list_address()


def act_of(request: HttpRequest, form: forms.ReasonForm) -> Actor:
    """Who is logged in, and why."""
    return Actor(name=request.user.get_username(), reason=form.cleaned_data["reason"])


def listed(model: str, **wanted: Any) -> str:
    """The address of the list of a model's rows, of those wanted alone."""
    return reverse(f"admin:tenants_{model}_changelist", query=wanted)
