"""The rows of tenants: tenants, API keys, usage windows, ledger entries, audit entries and counts of refusals."""

from tenants.models.entries import AuditEntry, LedgerEntry
from tenants.models.refusals import RefusalCount
from tenants.models.tenants import AllowLists, ApiKey, Limits, Tenant, check_time_zone, every_scope
from tenants.models.windows import Window
