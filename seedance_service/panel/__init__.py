"""The panel's own parts: users and roles, the sidebar, the second factor, session limits and security headers."""
