"""The label of API keys in the panel: a change of state alone, without SQL."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_plain_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelOptions(name="apikey", options={"verbose_name": "API key"}),
            ]
        )
    ]
