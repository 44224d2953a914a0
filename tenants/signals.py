"""Signals by which the work of a tenant hears of operators' actions. The layers above receive them."""

from django.dispatch import Signal

# After a suspension has ended: its generations go on. Arguments: tenant.
suspension_ended = Signal()

# When an operator cancels what a tenant, or one of its keys, has queued. Arguments: actor, tenant, and key, or None for
# all keys. A receiver returns how many it cancelled.
queue_cancelled = Signal()

# When the panel lists tenants, for what is held for each now. Arguments: tenants. A receiver returns micro-USD of live
# generations in progress by tenant id.
holds_listed = Signal()
