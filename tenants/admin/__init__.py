"""The admin panel's pages of tenants, API keys, refused creates, the ledger and the audit log."""

from tenants.admin import audit, keys, ledger, refusals, tenants

__all__ = ["audit", "keys", "ledger", "refusals", "tenants"]
