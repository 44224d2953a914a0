"""What the upstream said: its answer, and the task that it names, with the attempt; its words apart from ours."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0014_plain_words")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="answer",
            field=models.TextField(
                blank=True, db_default="", help_text="The answer, unless it was plain: its start, without secrets."
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="upstream_id",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The task that the answer names, whatever the outcome.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="detail",
            field=models.TextField(
                blank=True,
                db_default="",
                help_text="For operators alone: what another system said, without secrets.",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="attempt",
                    name="outcome",
                    field=models.CharField(
                        blank=True,
                        help_text="created, not_created, create_failed, refused or in_doubt.",
                        max_length=20,
                    ),
                ),
                migrations.AlterField(
                    model_name="event",
                    name="message",
                    field=models.TextField(blank=True, help_text="A sentence of ours, which callers read."),
                ),
            ]
        ),
    ]
