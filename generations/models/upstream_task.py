"""The columns of a generation that say where its task is, and what the upstream reports of it."""

from typing import Any

from django.db import models
from django.db.models import Q, Value

# Releases that did not record an account had one for each mode, which are False: live and True: test.
UNRECORDED_ACCOUNTS, UNRECORDED_WIRE = {False: "novita", True: "sandbox"}, "novita-async"


class UpstreamTask(models.Model):
    """The task of a generation at an upstream account."""

    test: Any  # the generation's own column

    submitted_at = models.DateTimeField(null=True)
    account = models.CharField(
        max_length=20, blank=True, db_default="", help_text="The upstream account that the last attempt went to."
    )
    wire = models.CharField(max_length=20, blank=True, db_default="", help_text="The protocol that is spoken there.")
    upstream_id = models.CharField(max_length=200, null=True, unique=True)
    upstream_seed = models.BigIntegerField(null=True, help_text="The seed that the upstream reports.")
    upstream_tokens = models.BigIntegerField(null=True, help_text="The tokens that the upstream reports.")
    upstream_shape = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="Resolution, aspect ratio and duration as the upstream reports them, if it does.",
    )
    quote_micro = models.BigIntegerField(
        null=True, help_text="Micro-USD of the video at the account of the last attempt. Empty: the maximum price."
    )
    offer_rate_micro = models.BigIntegerField(
        null=True,
        help_text="Micro-USD per million tokens at the account of the last attempt. Empty: the quote is its price, or "
        "nothing is known.",
    )
    charged_micro = models.BigIntegerField(
        null=True,
        help_text="Micro-USD charged for the video, if that may differ from the price. Empty: the price, or nothing.",
    )

    class Meta:
        abstract = True

    @property
    def account_name(self) -> str:
        """Return the account that the last attempt went to."""
        return self.account or UNRECORDED_ACCOUNTS[self.test]

    @property
    def wire_name(self) -> str:
        """Return the protocol of the last attempt's account."""
        return self.wire or UNRECORDED_WIRE

    @staticmethod
    def at_account(name: str) -> Q:
        """Return the condition for the generations whose last attempt went to the account."""
        unrecorded = [test for test, account in UNRECORDED_ACCOUNTS.items() if account == name]
        return Q(account=name) | Q(account="", test__in=unrecorded)
