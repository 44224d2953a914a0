from django.db import migrations, models
from django.db.models import Q

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """A search for a lost answer finds the attempts that a task may belong to."""

    atomic = False
    dependencies = [("generations", "0028_lost_answers")]

    operations = [
        AddIndexOnline(
            model_name="attempt",
            index=models.Index("reference", condition=~Q(reference=""), name="attempt_by_reference"),
        ),
        AddIndexOnline(
            model_name="attempt",
            index=models.Index("upstream_id", condition=~Q(upstream_id=""), name="attempt_by_task"),
        ),
        AddIndexOnline(
            model_name="attempt",
            index=models.Index("account", "started_at", name="attempt_by_account"),
        ),
    ]
