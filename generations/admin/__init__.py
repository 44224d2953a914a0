"""The admin panel's pages of generations, webhooks and workers, and the dashboard."""

from generations.admin import brake, dashboard, deliveries, generations, models, seed_log, webhook_endpoints, workers

__all__ = ["brake", "dashboard", "deliveries", "generations", "models", "seed_log", "webhook_endpoints", "workers"]
