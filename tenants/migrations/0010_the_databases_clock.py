"""Times of rows are the database's, and no longer the host's. No SQL: a default is not part of the schema."""

from django.db import migrations, models

from tenants.db import clock


class Migration(migrations.Migration):
    dependencies = [("tenants", "0009_audit_of_every_action")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="apikey",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now, editable=False),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="ledgerentry",
                    name="at",
                    field=models.DateTimeField(default=clock.now),
                ),
                migrations.AlterField(
                    model_name="tenant",
                    name="created_at",
                    field=models.DateTimeField(default=clock.now, editable=False),
                ),
            ]
        )
    ]
