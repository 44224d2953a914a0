"""The module in which Django looks for the project's admin pages: users and roles."""

from seedance_service.panel import users

__all__ = ["users"]
