"""The admin panel's pages of generations, webhooks and workers, and the dashboard."""

from generations.admin import dashboard, generations, seed_log, webhooks, workers

__all__ = ["dashboard", "generations", "seed_log", "webhooks", "workers"]
