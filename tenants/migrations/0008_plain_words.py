"""Plain names, help texts and labels: a change of Django's state alone. No SQL: tables and columns stay."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0007_retention")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="apikey",
                    name="in_flight",
                    field=models.PositiveIntegerField(
                        blank=True, help_text="Generations in progress at one time.", null=True
                    ),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="last_used_at",
                    field=models.DateTimeField(blank=True, help_text="Precise to a minute.", null=True),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="per_day",
                    field=models.PositiveIntegerField(blank=True, help_text="Generations per day.", null=True),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="per_month",
                    field=models.PositiveIntegerField(blank=True, help_text="Generations per month.", null=True),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="requests_per_minute",
                    field=models.PositiveIntegerField(blank=True, help_text="Create requests per minute.", null=True),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="scopes",
                    field=models.JSONField(default=tenants.models.every_scope, help_text="What the key may do."),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="seconds_per_month",
                    field=models.PositiveIntegerField(blank=True, help_text="Seconds of video per month.", null=True),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="test",
                    field=models.BooleanField(
                        default=False, help_text="Generations of a test key go to the sandbox and cost nothing."
                    ),
                ),
                migrations.AlterField(
                    model_name="apikey",
                    name="usd_per_month_micro",
                    field=models.PositiveBigIntegerField(
                        blank=True,
                        help_text="Millionths of a US dollar per month.",
                        null=True,
                        verbose_name="micro-USD per month",
                    ),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="actor",
                    field=models.CharField(help_text="A user of the panel, shell:NAME, or key:PREFIX.", max_length=150),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="changes",
                    field=models.JSONField(default=dict, help_text="Values before and after the action."),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="target",
                    field=models.CharField(
                        help_text="Name of the tenant, prefix of the key, or id of the row.", max_length=200
                    ),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="generation_id",
                    field=models.UUIDField(help_text="Empty for an adjustment.", null=True),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="item",
                    field=models.CharField(
                        blank=True, help_text="What was bought, as the bill names it.", max_length=80
                    ),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="month",
                    field=models.DateField(help_text="First day of the month whose bill has the entry.", null=True),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="seconds",
                    field=models.PositiveIntegerField(default=0, help_text="Seconds of video."),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="test",
                    field=models.BooleanField(default=False, help_text="Created with a test key: on no bill."),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="in_flight",
                    field=models.PositiveIntegerField(
                        blank=True, help_text="Generations in progress at one time.", null=True
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="input_days",
                    field=models.PositiveIntegerField(
                        blank=True,
                        help_text="Days for which input images are stored after their last use; 0: for ever; empty: INPUT_DAYS.",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="on_doubt",
                    field=models.CharField(
                        choices=[
                            ("hold", "hold: an operator decides"),
                            ("fail", "fail: fail at once and release the hold"),
                            ("resubmit", "resubmit: submit once more, which may pay twice"),
                        ],
                        db_default="hold",
                        default="hold",
                        help_text="What happens to a generation in doubt, whose submission may or may not have been paid for.",
                        max_length=10,
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="per_day",
                    field=models.PositiveIntegerField(blank=True, help_text="Generations per day.", null=True),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="per_month",
                    field=models.PositiveIntegerField(blank=True, help_text="Generations per month.", null=True),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="requests_per_minute",
                    field=models.PositiveIntegerField(blank=True, help_text="Create requests per minute.", null=True),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="seconds_per_month",
                    field=models.PositiveIntegerField(blank=True, help_text="Seconds of video per month.", null=True),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="submit_deadline",
                    field=models.PositiveIntegerField(
                        blank=True,
                        help_text="Seconds for which a generation waits while the upstream accepts none; empty: SUBMIT_DEADLINE.",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="time_zone",
                    field=models.CharField(
                        default="UTC",
                        help_text="Time zone in which the tenant's days and months begin.",
                        max_length=50,
                        validators=[tenants.models.check_time_zone],
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="usd_per_month_micro",
                    field=models.PositiveBigIntegerField(
                        blank=True,
                        help_text="Millionths of a US dollar per month.",
                        null=True,
                        verbose_name="micro-USD per month",
                    ),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="video_days",
                    field=models.PositiveIntegerField(
                        blank=True,
                        help_text="Days for which videos are stored; 0: for ever; empty: VIDEO_DAYS.",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="window",
                    name="api_key",
                    field=models.ForeignKey(
                        help_text="Empty: the window of the whole tenant.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="windows",
                        to="tenants.apikey",
                    ),
                ),
                migrations.AlterModelOptions(name="apikey", options={"verbose_name": "API key"}),
            ]
        )
    ]
