from django.db import migrations, models

from tenants.db.migrations import AddIndexOnline


def schedule(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.get_or_create(
        name="prune", defaults={"func": "generations.tasks.prune", "schedule_type": "H", "repeats": -1}
    )


def unschedule(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name="prune").delete()


class Migration(migrations.Migration):
    """What is older than it is kept for is removed each hour.

    A worker of the release before that is rung for it knows no such task, and says so in the log.
    """

    atomic = False
    dependencies = [
        ("generations", "0012_claims_and_pace"),
        ("tenants", "0007_retention"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]
    operations = [
        migrations.CreateModel(
            name="Chore",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                (
                    "position",
                    models.CharField(blank=True, help_text="Where it goes on; empty: from the start.", max_length=1024),
                ),
                ("done_at", models.DateTimeField(help_text="When it last came to its end.", null=True)),
            ],
        ),
        migrations.AddField(
            model_name="generation",
            name="expired_at",
            field=models.DateTimeField(help_text="When its video was removed for its age.", null=True),
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                condition=models.Q(("deleted_at", None), ("expired_at", None), ("status", "succeeded")),
                fields=["tenant", "finished_at"],
                name="generation_with_video",
            ),
        ),
        AddIndexOnline(
            model_name="inputimage",
            index=models.Index(
                condition=models.Q(("gone_at", None)), fields=["tenant", "created_at"], name="image_by_age"
            ),
        ),
        migrations.RunPython(schedule, unschedule),
    ]
