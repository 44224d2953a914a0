"""The day of the announcement of a model's end, and help texts, which are not part of the schema."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0023_settled_by_usage")]

    operations = [
        migrations.AddField(
            model_name="modelstate",
            name="announced_at",
            field=models.DateField(
                blank=True, help_text="The day, in UTC, on which callers were first shown the end.", null=True
            ),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="attempt",
                    name="outcome",
                    field=models.CharField(
                        blank=True,
                        help_text="created, not_created, route_gone, create_failed, not_sent, refused or in_doubt.",
                        max_length=20,
                    ),
                ),
                migrations.AlterField(
                    model_name="manualpause",
                    name="target",
                    field=models.CharField(
                        blank=True,
                        help_text="The account, live or sandbox; the number of the tenant; or the name of the model, "
                        "with @live or @sandbox behind it if the model is held at one account.",
                        max_length=100,
                    ),
                ),
            ]
        ),
    ]
