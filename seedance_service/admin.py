"""Where Django looks for the panel of the project: its users and roles."""

from seedance_service.panel import users

__all__ = ["users"]
