"""Times of rows are the database's, and no longer the host's. No SQL: a default is not part of the schema."""

from django.db import migrations, models

from tenants.db import clock


class Migration(migrations.Migration):
    dependencies = [("generations", "0019_compared_videos")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="attempt",
                    name="started_at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="delivery",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="deliveryattempt",
                    name="at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="event",
                    name="at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="generation",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="inputimage",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="manualpause",
                    name="since",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="webhookendpoint",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="webhooksecret",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now),
                ),
            ]
        )
    ]
