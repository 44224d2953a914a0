"""Ops' view of generations and of who is told of them, each in a module of its own."""

from generations.admin import generations, webhooks

__all__ = ["generations", "webhooks"]
