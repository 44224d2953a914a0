"""Ops' view of generations and of all that belongs to them, each in a module of its own."""

from generations.admin import dashboard, generations, seed_log, webhooks, workers

__all__ = ["dashboard", "generations", "seed_log", "webhooks", "workers"]
