from django.db import migrations, models


class Migration(migrations.Migration):
    """A capture or release says which upstream account the generation was made at."""

    dependencies = [("tenants", "0011_allowed_models_and_networks")]

    operations = [
        migrations.AddField(
            "ledgerentry",
            "account",
            models.CharField(
                blank=True,
                db_default="",
                help_text="The upstream account that the last attempt went to, of a capture or release.",
                max_length=20,
            ),
        ),
    ]
