from django.db import migrations, models
from django.db.models import F, Q

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """The panel lists videos that cost more than was held."""

    atomic = False
    dependencies = [("generations", "0024_announced_ends")]

    operations = [
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                fields=["finished_at"],
                condition=Q(charged_micro__gt=F("price_micro")),
                name="generation_charged_above",
            ),
        ),
    ]
