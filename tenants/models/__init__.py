"""The rows of tenants: tenants, their API keys, usage windows, ledger entries and audit entries."""

from tenants.models.entries import AuditEntry, LedgerEntry
from tenants.models.tenants import AllowLists, ApiKey, Limits, Tenant, check_time_zone, every_scope
from tenants.models.windows import Window
