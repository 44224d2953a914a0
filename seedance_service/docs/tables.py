"""Render the tables of docs/ from the code: settings, error codes, the actions of operators, and models.

`make docs` writes them, and a test compares the committed files with the code.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from types import ModuleType
from typing import Any

import generations.admin
import seedance_service.panel
import tenants.admin
from generations.admin import action_pages, model_actions, upstream_books
from generations.catalog import offers, video_models
from seedance_service import env
from seedance_service.docs import error_pages

ActionPage: Any = type(action_pages.PAGES["cancel"])
HEAD = "<!-- `make docs` writes this file from the code. Change the code, not this file. -->\n\n"


def settings() -> str:
    """Return docs/SETTINGS.md: every environment variable that an operator may set."""
    rows = [
        (f"`{variable.name}`", _code(variable.default), variable.accepts, variable.help)
        for variable in env.documented.values()
    ]
    intro = """# Settings

Every setting is an environment variable, read once at the start. A wrong value stops the start with a sentence.
Any of them may be given as `NAME_FILE`, the path of a file that holds the value.
[deploy/env.example](../deploy/env.example) is a start; `manage.py doctor` checks the result.
"""
    return HEAD + intro + "\n" + _table(("setting", "default", "accepts", "meaning"), rows)


def errors() -> str:
    """Return docs/ERRORS.md: every error code with its HTTP statuses, its meaning and what to do."""
    codes = error_pages.all_codes().values()
    answers = [
        (f"`{code.name}`", _status(code, "/v1/"), _status(code, "/v3/"), code.means, code.advice.does)
        for code in codes
        if code.problem and code.advice.apis
    ]
    failed = [(f"`{code.name}`", code.means, code.advice.does) for code in codes if code.advice.message]
    intro = """# Error codes

The running service has a page with an example for each code: `/docs/errors/CODE`. `/docs/errors` explains the format.

## Answers

`/v1/` answers with problem details, `/v3/` with Novita's envelope.
"""
    middle = "\n## Failed generations\n\nThese codes are the `error.code` of a generation that failed.\n\n"
    head = ("code", "`/v1/`", "`/v3/`", "meaning", "what to do")
    return HEAD + intro + "\n" + _table(head, answers) + middle + _table(("code", "meaning", "what to do"), failed)


def actions() -> str:
    """Return docs/ACTIONS.md: everything that an operator can do in the panel."""
    rows = [(page.title, _where(name), page.description) for name, page in action_pages.PAGES.items()]
    generation_pages = list(action_pages.PAGES.values())
    model_pages = [*model_actions.PAGES.values(), upstream_books.SET_MODEL]
    named = [*generation_pages, *model_pages]
    webhooks = [page for page in _pages_of(generations.admin) if page not in named]
    intro = """# Actions of operators

Each action is a page in the panel. It asks for a reason and leaves an entry in the audit log.

## On a generation

Several generations can be chosen in the list for some of these actions.
"""
    parts = [intro, _table(("action", "generation is", "effect"), rows)]
    others = {"On models and billed products": model_pages, "On webhooks and submits": webhooks}
    others |= {"On tenants and API keys": list(_pages_of(tenants.admin))}
    others |= {"On users": list(_pages_of(seedance_service.panel))}
    for title, pages in others.items():
        parts += [f"## {title}\n", _table(("action", "effect"), [(page.title, page.description) for page in pages])]
    return HEAD + "\n".join(parts)


def models() -> str:
    """Return docs/MODELS.md: every shipped model, when it ends, and what is not known of it."""
    rows = [model.row for model in video_models.load("").values()]
    ends = [(_day(row.announced_at), _day(row.retires_at), _id(row.replacement)) for row in rows]
    accounts = [", ".join(dict.fromkeys(offer.account for offer in offers.of_row(row))) for row in rows]
    table = [
        (_id(row.id), row.title, row.task, account, row.state, *end)
        for row, account, end in zip(rows, accounts, ends, strict=True)
    ]
    intro = """# Models

The shipped models, as their files in [generations/catalog/models](../generations/catalog/models) describe them. An
operator adds models, or replaces these, by files in the folder `CATALOG_DIR`. `GET /v1/models` lists the models of a
running service with their fields and prices. `i2v` is image to video, `t2v` is text to video, `both` takes an image or
none. `accounts` are those at the upstreams that offer the model, in the order in which they are asked. Days are in UTC.
The last day is the one before `retires`.
"""
    parts = [
        intro,
        _table(("model", "title", "task", "accounts", "state", "announced", "retires", "replacement"), table),
    ]
    parts.append("## What is not known\n")
    for row in rows:
        parts.append(f"### {row.id}\n\nSource: {row.source}. Checked: {_day(row.checked_at) or 'not since'}.\n")
        parts.append("".join(f"- {sentence}\n" for sentence in row.unknown))
    return HEAD + "\n".join(parts)


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _id(model: str | None) -> str:
    return f"`{model}`" if model else ""


TABLES: dict[str, Callable[[], str]] = {
    "SETTINGS.md": settings,
    "ERRORS.md": errors,
    "ACTIONS.md": actions,
    "MODELS.md": models,
}


def _where(name: str) -> str:
    """Return the statuses in which an action on a generation is possible."""
    statuses = [str(status) for status, names in action_pages.AVAILABLE.items() if name in names]
    return ", ".join(status.replace("_", " ") for status in statuses) or "finished"


def _pages_of(package: ModuleType) -> Iterator[Any]:
    """Yield the action pages that are constants of the package's modules, each once."""
    seen: list[Any] = []
    for info in pkgutil.iter_modules(package.__path__):
        for value in vars(importlib.import_module(f"{package.__name__}.{info.name}")).values():
            if isinstance(value, ActionPage) and value not in seen:
                seen.append(value)
                yield value


def _status(code: error_pages.Code, api: str) -> str:
    if code.problem is None or api not in code.advice.apis:
        return ""
    return str(code.problem.status) if api == "/v1/" else f"{code.problem.wire_status} `{code.problem.wire_reason}`"


def _code(text: str) -> str:
    """Return a literal default as code; a description holds spaces or code already."""
    return f"`{text}`" if text and " " not in text and "`" not in text else text


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |\n" for row in lines
    )
