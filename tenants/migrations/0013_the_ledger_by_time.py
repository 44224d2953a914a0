from django.db import migrations, models

from tenants.db.migrations import AddIndexOnline


class Migration(migrations.Migration):
    """The panel lists the ledger of all tenants from a day to a day."""

    atomic = False
    dependencies = [("tenants", "0012_the_account_of_a_ledger_entry")]

    operations = [
        AddIndexOnline(model_name="ledgerentry", index=models.Index(fields=["at", "id"], name="ledger_by_time")),
    ]
