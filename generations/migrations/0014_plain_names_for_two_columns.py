from django.db import migrations, models


class Migration(migrations.Migration):
    """Python names alone: the columns `turn` and `tries` stay, and the release before goes on with them."""

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
            ]
        )
    ]
