import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The panel shows which tenants and keys were refused creates, by limit and hour."""

    dependencies = [("tenants", "0013_the_ledger_by_time")]

    operations = [
        migrations.CreateModel(
            name="RefusalCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "limit_name",
                    models.CharField(
                        choices=[
                            ("requests_per_minute", "Requests Per Minute"),
                            ("in_flight", "In Flight"),
                            ("per_day", "Per Day"),
                            ("per_month", "Per Month"),
                            ("seconds_per_month", "Seconds Per Month"),
                            ("usd_per_month", "Usd Per Month"),
                            ("suspended", "Suspended"),
                        ],
                        help_text="The limit that was reached, or the tenant's suspension.",
                        max_length=30,
                    ),
                ),
                ("hour", models.DateTimeField(help_text="Start of the hour.")),
                ("refused", models.BigIntegerField(help_text="Creates that were refused.")),
                (
                    "api_key",
                    models.ForeignKey(
                        db_index=False,
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
                "verbose_name_plural": "refused creates",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "api_key", "limit_name", "hour"), name="one_count_of_a_limit_and_hour"
                    )
                ],
                "indexes": [models.Index(fields=["hour"], name="refusals_by_hour")],
            },
        )
    ]
