"""The module in which Django looks for the project's admin pages: users and roles, with their audit entries."""

from seedance_service.panel import staff_audit, users

__all__ = ["staff_audit", "users"]
