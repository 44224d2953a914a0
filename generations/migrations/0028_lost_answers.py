import django.db.models.deletion
from django.db import migrations, models

OUTCOMES = [
    ("found", "Found"),
    ("not_there", "Not there"),
    ("not_yet", "Not yet"),
    ("broken", "Broken"),
    ("unclear", "Unclear"),
]


class Migration(migrations.Migration):
    """A lost answer is looked for in the upstream's list of tasks, and each search is recorded."""

    dependencies = [("generations", "0027_the_accounts")]

    operations = [
        migrations.CreateModel(
            name="ListReader",
            fields=[
                (
                    "upstream",
                    models.CharField(
                        help_text="The name of the account.", max_length=20, primary_key=True, serialize=False
                    ),
                ),
                ("owner", models.CharField(blank=True, max_length=32)),
                ("lease_until", models.DateTimeField()),
                ("free_at", models.DateTimeField(help_text="When the next page may be asked for.")),
            ],
        ),
        migrations.AddField(
            "attempt",
            "target",
            models.CharField(
                blank=True, db_default="", help_text="The route, or the model's id at the upstream.", max_length=200
            ),
        ),
        migrations.AlterField(
            "attempt",
            "upstream_id",
            models.CharField(
                blank=True,
                db_default="",
                help_text="The task that the answer or a callback names, or that was found.",
                max_length=200,
            ),
        ),
        migrations.CreateModel(
            name="AttemptSearch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                (
                    "pages",
                    models.PositiveIntegerField(
                        default=0, help_text="Pages of the list that were read. 0: one task was read."
                    ),
                ),
                ("tasks", models.PositiveIntegerField(default=0, help_text="Tasks that were seen.")),
                (
                    "is_complete",
                    models.BooleanField(default=False, help_text="Whether the list was read to its end."),
                ),
                ("outcome", models.CharField(choices=OUTCOMES, max_length=10)),
                ("detail", models.TextField(blank=True)),
                (
                    "attempt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="searches", to="generations.attempt"
                    ),
                ),
            ],
            options={"ordering": ["id"]},
        ),
    ]
