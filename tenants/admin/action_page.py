"""The base of action pages: a page asks for a reason, performs one action and shows the outcome.

A GET changes nothing. The pages themselves lie beside the rows that they change, for example in `keys`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.decorators import action

from tenants import audit, times
from tenants.admin import forms, one_time_secrets
from tenants.admin.guards import Stale, checked_token, new_token
from tenants.admin.mixins import AuditHistoryMixin
from tenants.admin.one_time_secrets import OneTimeSecret
from tenants.audit import Actor
from tenants.errors import DoneBefore, Refusal

FORM_PARAMETER = "form"  # of an action page's address: the token of its form
MAX_SELECTED_ROWS = 100  # of one list action; each row is changed in a transaction of its own


class ActionPage(NamedTuple):
    """An action of operators: the texts and the form of its page, and the function that performs the action."""

    title: str
    description: str  # says what the action will do
    form: type[forms.ActionForm]
    action: Callable[..., Any]
    variant: str = "primary"  # the style of the submit button
    # For a form of stored values: locks the row until the transaction ends, and returns it as it is once locked.
    lock: Callable[[Any], Any] | None = None


def button(
    page: ActionPage, icon: str, label: str = "", *, permissions: Sequence[str] = ("action",), path: str = ""
) -> Any:
    """Return a ModelAdmin method that opens `page` for one row; list the method's name in `actions_detail`.

    `label` is the button's text; by default the page's title. `path` is the last part of the address; by default the
    method's name.
    """

    def open_page(model_admin: "ActionPagesMixin", request: HttpRequest, object_id: str) -> HttpResponse:
        return model_admin.serve_action(request, object_id, page)

    decorated: Any = action(description=label or page.title, icon=icon, permissions=permissions, url_path=path or None)
    return decorated(open_page)


def list_action(page: ActionPage) -> Any:
    """Return a ModelAdmin list action that performs the page's action on each selected row."""

    def open_page(model_admin: "ActionPagesMixin", request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return model_admin.serve_list_action(request, rows, page)

    return admin.action(open_page, description=page.title, permissions=["action"])


class ActionPagesMixin(AuditHistoryMixin):
    """Serve action pages from a ModelAdmin, and show an action's button only where the action is available."""

    admin_site: Any

    def has_action_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may perform actions on such rows. The rows themselves stay read-only."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Return the buttons of a row's page, without actions that are unavailable in the row's present state."""
        actions = super().get_actions_detail(request, object_id)  # type: ignore[misc]  # unfold's
        row = self.get_object(request, object_id)
        names = self.unavailable_actions(row) if row else ()
        hidden = {f"{self.opts.app_label}_{self.opts.model_name}_{name}" for name in names}
        return [action for action in actions if action.action_name not in hidden]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        """Render a row's page. The address of each button names the form that the button opens.

        So "back" after an action opens the same form, which has acted, and no other one.
        """
        for button in context.get("actions_detail", ()):
            button["path"] = f"{button['path']}?{FORM_PARAMETER}={new_token()}"
        response: HttpResponse = super().render_change_form(request, context, *args, **options)  # type: ignore[misc]
        return response

    def unavailable_actions(self, row: Any) -> Collection[str]:
        """Return the names of actions that make no sense in the row's present state."""
        return ()

    def serve_action(self, request: HttpRequest, object_id: str, page: ActionPage, next_url: str = "") -> HttpResponse:
        """Serve `page` for one row, as `serve_page`. Raise Http404 if there is no such row."""
        if self.get_object(request, object_id) is None and (done := self.report_done(request, None)):
            return HttpResponseRedirect(done)  # the form has removed the row
        return self.serve_page(request, self.get_row(request, object_id), page, next_url)

    def serve_page(self, request: HttpRequest, row: Model | None, page: ActionPage, next_url: str = "") -> HttpResponse:
        """Render the form of `page`, or perform the action if the request is a valid POST.

        `row` is None for an action that creates a row. A Refusal of the action becomes an error of the form.
        `next_url` is the redirect after success; by default the row's own page.
        """
        if key := request.GET.get(one_time_secrets.PARAMETER):
            return self._show_secret(request, page, row, key)
        form = page.form(request.POST if request.method == "POST" else None, row=row)
        if done := self.report_done(request, row):
            return HttpResponseRedirect(done)
        if token := checked_token(request.GET.get(FORM_PARAMETER, "")):
            form.initial["form_token"] = token
        if form.is_valid():
            try:
                outcome = _perform(page, actor_of(request, form), row, form)
            except (Refusal, Stale, DoneBefore) as error:
                if done := self.report_done(request, row):  # the same form, sent twice, acted just now
                    return HttpResponseRedirect(done)
                if row is not None and isinstance(error, Stale):  # others saved just now: check the form against that
                    row.refresh_from_db()
                    return self.serve_page(request, row, page, next_url)
                form.add_error(None, ValidationError(str(error)))
            else:
                return self._render_outcome(request, page, row, outcome, next_url)
        return self._render(request, "tenants/action.html", page, row, form=form)

    def report_done(self, request: HttpRequest, row: Model | None) -> str:
        """Return where to go, with a message, if the request's form has acted before; else return an empty string."""
        token = checked_token(request.POST.get("form_token") or request.GET.get(FORM_PARAMETER, ""))
        entry = audit.find_by_form(token) if token else None
        if entry is None:
            return ""
        at = times.readable(entry.at, "seconds")
        messages.warning(
            request,
            f"This form was sent before. It acted once, at {at} UTC ({entry.action}: {entry.target}), and not again. "
            "A key or secret that it created was shown then, and is shown no more.",
        )
        return self._back_url(row)

    def serve_list_action(self, request: HttpRequest, rows: QuerySet[Any], page: ActionPage) -> HttpResponse:
        """Render the form for the selected rows, or perform the action on each row, with one reason for all."""
        form = page.form(request.POST if "reason" in request.POST else None, row=None)
        selected = list(rows[:MAX_SELECTED_ROWS])
        if form.is_valid():
            self._run_on_each(request, page, selected, form)
            return HttpResponseRedirect(request.get_full_path())
        return self._render(request, "tenants/action.html", page, None, form=form, selected=selected)

    def _run_on_each(
        self, request: HttpRequest, page: ActionPage, selected: Sequence[Any], form: forms.ActionForm
    ) -> None:
        """Perform the action on each row. A refusal is shown as a warning and does not stop the other rows."""
        count, actor = 0, actor_of(request, form)
        for row in selected:
            form_token = f"{actor.form_token}:{row.pk}"
            try:
                if audit.find_by_form(form_token):
                    raise DoneBefore
                page.action(replace(actor, form_token=form_token), row, **form.arguments())
                count += 1
            except DoneBefore:
                messages.warning(request, f"{row}: this form was sent before, and acted on the row then.")
            except Refusal as error:
                messages.warning(request, f"{row}: {error}")
        messages.success(request, f"{page.title}: done for {count} of {len(selected)}.")

    def _render_outcome(
        self, request: HttpRequest, page: ActionPage, row: Model | None, outcome: Any, next_url: str
    ) -> HttpResponse:
        if isinstance(outcome, OneTimeSecret):
            key = one_time_secrets.store(request, outcome)
            return HttpResponseRedirect(f"{request.path}?{urlencode({one_time_secrets.PARAMETER: key})}")
        messages.success(request, outcome if isinstance(outcome, str) else f"{page.title}: done for {row}.")
        return HttpResponseRedirect(next_url or self._back_url(row))

    def _show_secret(self, request: HttpRequest, page: ActionPage, row: Model | None, key: str) -> HttpResponse:
        """Show the secret that a form has just made, or say that it is shown no more.

        It enters no log and no cache: `admin_view`, which serves every page of the panel, sends no-store.
        """
        secret = one_time_secrets.take(request, key)
        if secret is None:
            messages.warning(request, "The key or secret was shown once, and is shown no more.")
            return HttpResponseRedirect(self._back_url(row))
        return self._render(request, "tenants/one_time_secret.html", page, row, secret=secret)

    def _render(
        self, request: HttpRequest, template: str, page: ActionPage, row: Model | None, **context: Any
    ) -> TemplateResponse:
        common = {
            "opts": self.opts,
            "original": row,
            "title": page.title,
            "page": page,
            "back_url": self._back_url(row),
        }
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **common, **context})

    def _back_url(self, row: Model | None) -> str:
        return self.row_url(row) if row else self.list_url()


def actor_of(request: HttpRequest, form: forms.ReasonForm) -> Actor:
    """Return the logged-in user with the reason and the token from the form."""
    facts = form.cleaned_data
    return Actor(name=request.user.get_username(), reason=facts["reason"], form_token=facts["form_token"])


def _perform(page: ActionPage, actor: Actor, row: Model | None, form: Any) -> Any:
    """Perform the action and return its outcome. Raise Stale if stored values have changed since the form was checked.

    A form of stored values is compared with the row under its lock, in the transaction of the action.
    """
    rows = [] if row is None else [row]
    if page.lock is None:
        return page.action(actor, *rows, **form.arguments())
    with transaction.atomic():
        form.raise_if_stale(page.form(row=page.lock(row)))
        return page.action(actor, *rows, **form.arguments())
