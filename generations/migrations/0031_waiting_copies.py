from django.db import migrations, models
from django.db.models import Q

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """Tenants take turns for their copies: the waiting copies of a tenant are found by an index."""

    atomic = False
    dependencies = [("generations", "0030_the_accounts_rate")]

    operations = [
        AddIndexOnline(
            model_name="generation",
            index=models.Index(fields=["tenant", "due_at"], condition=Q(status="copying"), name="generation_copying"),
        ),
    ]
