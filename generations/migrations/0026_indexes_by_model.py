from django.db import migrations, models
from django.db.models import F, Q

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """Lists of generations are filtered by model, and the panel shows when a model last succeeded."""

    atomic = False
    dependencies = [("generations", "0025_charges_above_the_hold")]

    operations = [
        migrations.AlterModelOptions(
            name="modelstate", options={"verbose_name": "model", "verbose_name_plural": "models"}
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                F("model"),
                F("tenant"),
                F("test"),
                F("created_at").desc(),
                F("id").desc(),
                name="generation_by_model",
            ),
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                F("model"),
                F("test"),
                F("finished_at").desc(),
                condition=Q(status="succeeded"),
                name="generation_last_success",
            ),
        ),
    ]
