from django.db import migrations, models
from django.db.models import Value

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """Videos are compared with their request. Rows of before stay without a comparison."""

    atomic = False
    dependencies = [("generations", "0018_undeleted_objects")]

    operations = [
        migrations.AddField(
            model_name="generation",
            name="unusable_files",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How many files the upstream has served that are no whole video.",
            ),
        ),
        migrations.AddField(
            model_name="generation",
            name="video_as_requested",
            field=models.BooleanField(
                help_text="Whether the video is what was requested. Empty without a video that was compared.", null=True
            ),
        ),
        migrations.AddField(
            model_name="generation",
            name="video_differences",
            field=models.JSONField(
                blank=True,
                db_default=Value([], models.JSONField()),
                default=list,
                help_text="What differs from the request, as a list of field, requested and received.",
            ),
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                condition=models.Q(("video_as_requested", False)),
                fields=["finished_at"],
                name="generation_not_as_requested",
            ),
        ),
    ]
