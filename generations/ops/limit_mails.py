"""Send the e-mails of limit warnings to operators, by Django's own mail settings.

An e-mail is claimed before it is sent, so that no two workers send it. One whose sending failed, or whose worker was
killed, is sent some minutes later.
"""

from datetime import timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage

from generations.models import LimitWarning
from tenants import times
from tenants.db import clock
from tenants.limits import windows
from tenants.limits.windows import Kind

RETRY_AFTER = timedelta(minutes=5)  # longer than a mail server may take
MAX_PER_RUN = 20  # each takes up to EMAIL_TIMEOUT

log = structlog.stdlib.get_logger(__name__)


def send() -> int:
    """Send the e-mails that are due. Return their number."""
    if not settings.LIMIT_WARNING_EMAILS:
        return 0
    due = LimitWarning.objects.filter(mail_due_at__lte=clock.now()).select_related("tenant", "api_key")
    return sum(map(_send, due.order_by("mail_due_at")[:MAX_PER_RUN]))


def _send(warning: LimitWarning) -> bool:
    """Send the e-mail of a warning. Return False if another worker has claimed it, or it cannot be sent now."""
    claimed = LimitWarning.objects.filter(pk=warning.pk, mail_due_at=warning.mail_due_at)
    retry_at = clock.now() + RETRY_AFTER
    if not claimed.update(mail_due_at=retry_at):
        return False
    try:
        _build(warning).send()
    except OSError as error:  # smtplib's errors are of this kind
        log.warning("the e-mail of a limit warning was not sent", tenant=warning.tenant_id, trouble=str(error))
        return False
    LimitWarning.objects.filter(pk=warning.pk, mail_due_at=retry_at).update(mail_due_at=None)
    return True


def _build(warning: LimitWarning) -> EmailMessage:
    """Return the e-mail. A second sending has the same Message-ID, by which mail programs drop it."""
    kind, key = Kind(warning.kind), f", key {warning.api_key.prefix}" if warning.api_key else ""
    used, limit = windows.format_amount(kind, warning.used), windows.format_amount(kind, warning.limit)
    name = windows.name_of(kind)
    return EmailMessage(
        f"{warning.tenant.name}{key}: {warning.percent} % of {name} used",
        f"{warning.tenant.name}{key} has used {used} of {limit} ({name}).\n"
        f"The window ends at {times.local(warning.ends_at, warning.tenant.zone)}.\n",
        to=settings.LIMIT_WARNING_EMAILS,
        headers={"Message-ID": f"<limit-warning-{warning.pk}@seedance-service>"},
    )
