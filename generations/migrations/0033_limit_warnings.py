import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Coalesce

from tenants.db import clock


class Migration(migrations.Migration):
    """Tenants and operators are warned of limits that are nearly used up."""

    dependencies = [("generations", "0032_usage_sums"), ("tenants", "0012_the_account_of_a_ledger_entry")]

    operations = [
        migrations.CreateModel(
            name="LimitWarning",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("requests_per_minute", "Requests Per Minute"),
                            ("in_flight", "In Flight"),
                            ("per_day", "Per Day"),
                            ("per_month", "Per Month"),
                            ("seconds_per_month", "Seconds Per Month"),
                            ("usd_per_month", "Usd Per Month"),
                        ],
                        max_length=30,
                    ),
                ),
                ("starts_at", models.DateTimeField(help_text="When the window began.")),
                ("ends_at", models.DateTimeField(help_text="When the window ends, and the limit begins again.")),
                ("percent", models.PositiveSmallIntegerField(help_text="The share of the limit that was reached.")),
                (
                    "used",
                    models.BigIntegerField(help_text="A count, seconds, or micro-USD, when the warning was written."),
                ),
                ("limit", models.BigIntegerField(help_text="The limit at that time, in the same unit.")),
                ("at", models.DateTimeField(default=clock.now)),
                (
                    "mail_due_at",
                    models.DateTimeField(help_text="When its e-mail is to be sent. Empty: sent, or none.", null=True),
                ),
                (
                    "api_key",
                    models.ForeignKey(
                        help_text="Empty: a limit of the whole tenant.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.apikey",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["ends_at"], name="limit_warning_by_end"),
                    models.Index(
                        fields=["mail_due_at"],
                        condition=models.Q(mail_due_at__isnull=False),
                        name="limit_warning_to_mail",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("tenant"),
                        Coalesce("api_key", 0),
                        models.F("kind"),
                        models.F("starts_at"),
                        models.F("percent"),
                        name="a_share_is_warned_of_once",
                    )
                ],
            },
        )
    ]
