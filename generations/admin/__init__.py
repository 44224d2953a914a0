"""The admin panel's pages of generations, webhooks and workers, and the dashboard."""

from generations.admin import (
    dashboard,
    deliveries,
    generations,
    limit_warnings,
    models,
    seed_log,
    submit_pauses,
    upstream_books,
    webhook_endpoints,
    workers,
)

__all__ = [
    "dashboard",
    "deliveries",
    "generations",
    "limit_warnings",
    "models",
    "seed_log",
    "submit_pauses",
    "upstream_books",
    "webhook_endpoints",
    "workers",
]
