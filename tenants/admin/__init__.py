"""The pages of tenants, their keys, the ledger and the audit log in the admin panel."""

from tenants.admin import tenants

__all__ = ["tenants"]
