"""Pauses of polls, which the upstream refuses."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0016_manual_pauses_and_outages")]

    operations = [
        migrations.CreateModel(
            name="PollPause",
            fields=[
                (
                    "upstream",
                    models.CharField(help_text="live or sandbox.", max_length=10, primary_key=True, serialize=False),
                ),
                ("since", models.DateTimeField()),
                ("reason", models.TextField(help_text="The upstream's own message, if it sent one.")),
                (
                    "refusals",
                    models.PositiveIntegerField(
                        default=0, help_text="Each doubles the time between two polls of a task."
                    ),
                ),
                ("until", models.DateTimeField(help_text="When polls may go on.")),
            ],
        ),
    ]
