"""The admin panel's pages of tenants, API keys, the ledger and the audit log."""

from tenants.admin import audit, keys, ledger, tenants

__all__ = ["audit", "keys", "ledger", "tenants"]
