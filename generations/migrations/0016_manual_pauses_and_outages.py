import datetime

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds what stops the clock of a deadline, and pauses of submits that operators order.

    The release before goes on beside it: each new column is empty, or has a default of the database's own.
    """

    dependencies = [
        ("generations", "0015_what_the_upstream_said"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="attempt",
                    name="outcome",
                    field=models.CharField(
                        blank=True,
                        help_text="created, not_created, create_failed, not_sent, refused or in_doubt.",
                        max_length=20,
                    ),
                ),
            ]
        ),
        migrations.AddField(
            model_name="generation",
            name="outage_since",
            field=models.DateTimeField(
                help_text="Since when submits are held, or the bucket or the upstream is away: no deadline counts this time.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="generation",
            name="outage_time",
            field=models.DurationField(
                db_default=datetime.timedelta(0),
                default=datetime.timedelta(0),
                help_text="The length of such times that have ended, since the status began.",
            ),
        ),
        migrations.AddField(
            model_name="pause",
            name="probe_sent_at",
            field=models.DateTimeField(help_text="Since when a test submit is under way.", null=True),
        ),
        migrations.AddField(
            model_name="pause",
            name="refused_at",
            field=models.DateTimeField(help_text="When a submit last came to nothing.", null=True),
        ),
        migrations.CreateModel(
            name="ManualPause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[("all", "All"), ("account", "Account"), ("tenant", "Tenant"), ("model", "Model")],
                        max_length=10,
                    ),
                ),
                (
                    "target",
                    models.CharField(
                        blank=True,
                        help_text="The account, live or sandbox; the number of the tenant; or the name of the model.",
                        max_length=100,
                    ),
                ),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("actor", models.CharField(max_length=150)),
                ("reason", models.TextField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("scope", "target"), name="a_pause_is_ordered_once")],
            },
        ),
    ]
