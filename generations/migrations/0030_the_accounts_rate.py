from django.db import migrations, models


class Migration(migrations.Migration):
    """A generation's row says what the account of its last attempt charges by usage."""

    dependencies = [("generations", "0029_indexes_of_lost_answers")]

    operations = [
        migrations.AddField(
            "generation",
            "offer_rate_micro",
            models.BigIntegerField(
                help_text="Micro-USD per million tokens at the account of the last attempt. "
                "Empty: the quote is its price, or nothing is known.",
                null=True,
            ),
        ),
        migrations.AlterField(
            "generation",
            "charged_micro",
            models.BigIntegerField(
                help_text="Micro-USD charged for the video, if that may differ from the price. "
                "Empty: the price, or nothing.",
                null=True,
            ),
        ),
    ]
