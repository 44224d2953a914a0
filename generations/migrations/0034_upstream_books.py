from django.db import migrations, models

import tenants.db.clock


class Migration(migrations.Migration):
    """The balance and the bills of upstream accounts are read and stored."""

    dependencies = [
        ("generations", "0033_limit_warnings"),
    ]

    operations = [
        migrations.CreateModel(
            name="UpstreamBooks",
            fields=[
                ("account", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("available_micro", models.BigIntegerField(help_text="Micro-USD that can be spent there.", null=True)),
                ("balance", models.JSONField(default=dict, help_text="The upstream's answer about the balance.")),
                ("balance_at", models.DateTimeField(help_text="When the balance was read.", null=True)),
                (
                    "daily_micro",
                    models.BigIntegerField(
                        help_text="Micro-USD spent a day, the mean of the last seven days: by the bills, or by the ledger.",
                        null=True,
                    ),
                ),
                ("daily_at", models.DateTimeField(help_text="When that mean was computed.", null=True)),
                ("first_hour", models.DateTimeField(help_text="The first hour whose bills are stored.")),
                ("bills_until", models.DateTimeField(help_text="The bills of the hours before were read.")),
                (
                    "checked_until",
                    models.DateTimeField(
                        help_text="The bills of the hours before were read again after the end of their month.",
                    ),
                ),
                ("bills_at", models.DateTimeField(help_text="When bills were last read.", null=True)),
                (
                    "difference_micro",
                    models.BigIntegerField(
                        default=0,
                        help_text="Micro-USD by which bills and ledger differ, over the last 24 hours that were read.",
                    ),
                ),
                ("differs_since", models.DateTimeField(help_text="When the difference was first seen.", null=True)),
                ("error", models.TextField(blank=True, help_text="Why the last call came to nothing.")),
                ("failing_since", models.DateTimeField(null=True)),
                (
                    "failures",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="In a row; each doubles the time to the next call."
                    ),
                ),
                ("next_call_at", models.DateTimeField(default=tenants.db.clock.now, help_text="No host calls before.")),
            ],
            options={
                "verbose_name": "upstream books",
                "verbose_name_plural": "upstream books",
            },
        ),
        migrations.CreateModel(
            name="BilledProduct",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account", models.CharField(max_length=20)),
                ("product", models.CharField(max_length=200)),
                ("model", models.CharField(blank=True, help_text="Empty: not known.", max_length=50)),
                (
                    "is_ours",
                    models.BooleanField(
                        default=True, help_text="No: others use it with the same account.", verbose_name="compared"
                    ),
                ),
                ("seen_at", models.DateTimeField(default=tenants.db.clock.now, verbose_name="first seen")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("account", "product"), name="a_product_is_known_once")],
            },
        ),
        migrations.CreateModel(
            name="UpstreamBill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account", models.CharField(max_length=20)),
                ("hour", models.DateTimeField(help_text="When the hour begins, in UTC.")),
                ("product", models.CharField(max_length=200)),
                (
                    "owner",
                    models.CharField(
                        blank=True, help_text="The id of the key at the upstream.", max_length=200, verbose_name="key"
                    ),
                ),
                ("amount_micro", models.BigIntegerField(help_text="Micro-USD, with what vouchers paid.")),
                (
                    "units",
                    models.BigIntegerField(
                        help_text="Calls, seconds or tokens; the upstream does not say which.", null=True
                    ),
                ),
                ("rows", models.JSONField(default=list, help_text="The upstream's own rows.")),
                ("read_at", models.DateTimeField(default=tenants.db.clock.now)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "hour", "product", "owner"), name="an_hour_is_billed_once"
                    )
                ],
            },
        ),
    ]
