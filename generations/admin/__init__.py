"""The admin panel's pages of generations, webhooks and workers, and the dashboard."""

from generations.admin import dashboard, deliveries, generations, seed_log, webhook_endpoints, workers

__all__ = ["dashboard", "deliveries", "generations", "seed_log", "webhook_endpoints", "workers"]
