"""Plain names, help texts and labels: a change of Django's state alone. No SQL: tables and columns stay."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0013_retention")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField(model_name="delivery", old_name="turn", new_name="fencing_token"),
                migrations.AlterField(
                    model_name="delivery",
                    name="fencing_token",
                    field=models.PositiveIntegerField(db_column="turn", default=0, help_text="Grows with each claim."),
                ),
                migrations.RenameField(model_name="generation", old_name="tries", new_name="consecutive_failures"),
                migrations.AlterField(
                    model_name="generation",
                    name="consecutive_failures",
                    field=models.PositiveIntegerField(
                        db_column="tries", default=0, help_text="Failed tries of the present step in a row."
                    ),
                ),
                migrations.RenameField(model_name="generation", old_name="turn", new_name="fencing_token"),
                migrations.AlterField(
                    model_name="generation",
                    name="fencing_token",
                    field=models.PositiveIntegerField(
                        db_column="turn",
                        default=0,
                        help_text="Grows with each claim: an outdated worker writes nothing.",
                    ),
                ),
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
                migrations.AlterField(
                    model_name="delivery",
                    name="attempts",
                    field=models.PositiveIntegerField(
                        default=0, help_text="Attempts of the present schedule. A redelivery starts a new schedule."
                    ),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="body",
                    field=models.TextField(
                        blank=True,
                        help_text="Empty in Novita's format: the body is rendered at each attempt, with a signed URL.",
                    ),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="fencing_token",
                    field=models.PositiveIntegerField(db_column="turn", default=0, help_text="Counts the claims."),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="message_id",
                    field=models.CharField(
                        help_text="The id of the event, the same for every receiver.", max_length=80
                    ),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="url",
                    field=models.TextField(
                        blank=True, help_text="The URL of the generation's own webhook. Empty: the URL of the endpoint."
                    ),
                ),
                migrations.AlterField(
                    model_name="deliveryattempt",
                    name="status_code",
                    field=models.PositiveSmallIntegerField(help_text="Empty if no answer came.", null=True),
                ),
                migrations.AlterField(
                    model_name="event",
                    name="status",
                    field=models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("submitting", "Submitting"),
                            ("in_doubt", "In Doubt"),
                            ("running", "Running"),
                            ("copying", "Copying"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        help_text="The status after the event.",
                        max_length=12,
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="consecutive_failures",
                    field=models.PositiveIntegerField(
                        db_column="tries", default=0, help_text="How often the present step has failed in a row."
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="deleted_at",
                    field=models.DateTimeField(
                        help_text="From this time on nothing of the generation is served.", null=True
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="due_at",
                    field=models.DateTimeField(
                        help_text="The time of the next step. Empty if the generation is finished.", null=True
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="expired_at",
                    field=models.DateTimeField(help_text="When the video was removed because of its age.", null=True),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="external_id",
                    field=models.CharField(
                        blank=True, db_default="", help_text="The caller's own identifier.", max_length=255
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="fencing_token",
                    field=models.PositiveIntegerField(
                        db_column="turn",
                        default=0,
                        help_text="Counts the claims. A worker with an older number writes nothing.",
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="first_eta",
                    field=models.PositiveIntegerField(
                        help_text="Seconds until the finish, as estimated at the create. A repeated create returns the same value.",
                        null=True,
                        verbose_name="first estimate",
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="idempotency_digest",
                    field=models.CharField(
                        blank=True,
                        db_default="",
                        help_text="The digest of the request that came with the key.",
                        max_length=64,
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="idempotency_key",
                    field=models.CharField(
                        help_text="The caller's key: another create with this key returns this generation.",
                        max_length=255,
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="image_url",
                    field=models.TextField(
                        blank=True, help_text="The URL, if the caller sent a URL. `image` is the image behind the URL."
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="price_micro",
                    field=models.BigIntegerField(help_text="The maximum price in micro-USD, fixed at admission."),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="purged_at",
                    field=models.DateTimeField(help_text="When the files were deleted from the bucket.", null=True),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="rerun_of",
                    field=models.UUIDField(help_text="The generation whose inputs were used again.", null=True),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="resumed_at",
                    field=models.DateTimeField(
                        help_text="When the status in_doubt ended, by a task at the upstream or by another attempt.",
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="test",
                    field=models.BooleanField(
                        default=False, help_text="Created with a test key: rendered by the sandbox and never billed."
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="traceparent",
                    field=models.CharField(
                        blank=True, db_default="", help_text="The W3C Trace Context of the create.", max_length=55
                    ),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="upstream_seed",
                    field=models.BigIntegerField(help_text="The seed that the upstream reports.", null=True),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="webhook_url",
                    field=models.TextField(
                        blank=True,
                        db_default="",
                        help_text="Notified when the generation finishes, in addition to the endpoints.",
                    ),
                ),
                migrations.AlterField(
                    model_name="inputimage",
                    name="gone_at",
                    field=models.DateTimeField(
                        help_text="The time when the image was deleted, after every generation that uses it was deleted.",
                        null=True,
                        verbose_name="deleted at",
                    ),
                ),
                migrations.AlterField(
                    model_name="inputimage",
                    name="key",
                    field=models.CharField(help_text="The name of the object in the bucket.", max_length=200),
                ),
                migrations.AlterField(
                    model_name="label",
                    name="created_at",
                    field=models.DateTimeField(help_text="The creation time of the generation."),
                ),
                migrations.AlterField(
                    model_name="webhookendpoint",
                    name="deleted_at",
                    field=models.DateTimeField(help_text="The deliveries stay in the log.", null=True),
                ),
                migrations.AlterField(
                    model_name="webhookendpoint",
                    name="events",
                    field=models.JSONField(
                        default=list, help_text="The event types that are sent. Empty: all, except generation.running."
                    ),
                ),
                migrations.AlterField(
                    model_name="webhookendpoint",
                    name="failing_since",
                    field=models.DateTimeField(
                        help_text="The time of the first failure after the last success.", null=True
                    ),
                ),
                migrations.AlterModelOptions(
                    name="pause",
                    options={"verbose_name": "paused upstream", "verbose_name_plural": "upstream status"},
                ),
            ]
        )
    ]
