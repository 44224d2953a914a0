import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Coalesce

STATUSES = ["queued", "submitting", "in_doubt", "running", "copying", "succeeded", "failed", "cancelled"]


class Migration(migrations.Migration):
    """Usage is read from sums. The worker fills them; until then usage is counted."""

    dependencies = [
        ("generations", "0031_waiting_copies"),
        ("tenants", "0012_the_account_of_a_ledger_entry"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageSumState",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="usage_sum_state",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("time_zone", models.CharField(max_length=50)),
                ("until", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="UsageSum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("test", models.BooleanField()),
                (
                    "day",
                    models.DateField(help_text="The day on which they were accepted, in the time zone of the state."),
                ),
                ("model", models.CharField(max_length=50)),
                ("resolution", models.CharField(max_length=10, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[(status, status.replace("_", " ").title()) for status in STATUSES], max_length=12
                    ),
                ),
                ("generations", models.PositiveBigIntegerField()),
                ("seconds", models.PositiveBigIntegerField(help_text="Seconds of video requested.")),
                (
                    "micro",
                    models.PositiveBigIntegerField(help_text="Micro-USD charged, or the price where nothing was."),
                ),
                (
                    "api_key",
                    models.ForeignKey(
                        db_index=False,
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
                "constraints": [
                    models.UniqueConstraint(
                        F("tenant"),
                        F("test"),
                        F("day"),
                        Coalesce("api_key", 0),
                        F("model"),
                        Coalesce("resolution", Value("")),
                        F("status"),
                        name="usage_is_summed_once",
                    )
                ],
            },
        ),
    ]
