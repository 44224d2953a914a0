from django.db import migrations, models


class Migration(migrations.Migration):
    """Python names and help texts alone: tables and columns stay, and the release before goes on with them."""

    dependencies = [("generations", "0014_plain_names_for_two_columns")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelTable(name="tally", table="generations_tally"),
                migrations.RenameModel(old_name="Tally", new_name="HourlyStatistics"),
                migrations.AlterModelOptions(
                    name="hourlystatistics", options={"verbose_name_plural": "hourly statistics"}
                ),
                migrations.AlterField(
                    model_name="hourlystatistics",
                    name="hour",
                    field=models.DateTimeField(help_text="Start of the hour."),
                ),
                migrations.RenameField(model_name="hourlystatistics", old_name="took", new_name="duration_histogram"),
                migrations.AlterField(
                    model_name="hourlystatistics",
                    name="duration_histogram",
                    field=models.JSONField(
                        db_column="took",
                        default=list,
                        help_text="Number of videos in each bucket of hourly_statistics.BUCKET_BOUNDS.",
                    ),
                ),
                migrations.RenameField(model_name="storageuse", old_name="pictures", new_name="images"),
                migrations.AlterField(
                    model_name="storageuse",
                    name="images",
                    field=models.PositiveBigIntegerField(db_column="pictures", help_text="Bytes."),
                ),
                migrations.AlterModelTable(name="chore", table="generations_chore"),
                migrations.RenameModel(old_name="Chore", new_name="MaintenanceCursor"),
                migrations.AlterField(
                    model_name="maintenancecursor",
                    name="position",
                    field=models.CharField(
                        blank=True, help_text="Where the next run continues; empty: at the start.", max_length=1024
                    ),
                ),
                migrations.AlterField(
                    model_name="maintenancecursor",
                    name="done_at",
                    field=models.DateTimeField(help_text="When the job last reached the end.", null=True),
                ),
                migrations.RenameField(model_name="slot", old_name="rung_until", new_name="wake_up_until"),
                migrations.AlterField(
                    model_name="slot",
                    name="wake_up_until",
                    field=models.DateTimeField(
                        db_column="rung_until",
                        help_text="A wake-up is in the queue: no other one is needed before this time.",
                    ),
                ),
                migrations.RenameField(model_name="worker", old_name="beat_at", new_name="heartbeat_at"),
                migrations.AlterField(
                    model_name="worker",
                    name="heartbeat_at",
                    field=models.DateTimeField(
                        db_column="beat_at",
                        help_text="When a worker run on this host last read the due rows.",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="worker",
                    name="started_at",
                    field=models.DateTimeField(help_text="Start of the present processes.", null=True),
                ),
                migrations.AlterField(
                    model_name="worker",
                    name="restarts",
                    field=models.PositiveIntegerField(
                        default=0, help_text="Restarts by the supervisor since the host first ran."
                    ),
                ),
                migrations.AlterField(
                    model_name="pause",
                    name="reason",
                    field=models.TextField(help_text="The upstream's own message, if it sent one."),
                ),
                migrations.AlterField(
                    model_name="pause",
                    name="probes",
                    field=models.PositiveIntegerField(
                        default=0, help_text="Failed test submits since the pause began."
                    ),
                ),
                migrations.AlterField(
                    model_name="pause",
                    name="probe_at",
                    field=models.DateTimeField(help_text="When the next test submit may be sent."),
                ),
            ]
        )
    ]
