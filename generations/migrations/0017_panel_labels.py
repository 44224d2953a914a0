"""The label of the upstreams' pauses in the panel: a change of state alone, without SQL."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("generations", "0016_plain_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelOptions(
                    name="pause",
                    options={"verbose_name": "paused upstream", "verbose_name_plural": "upstream status"},
                ),
            ]
        )
    ]
