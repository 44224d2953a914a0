from typing import Any
from zoneinfo import ZoneInfo

from django.db import migrations, models


def fill(apps: Any, schema_editor: Any) -> None:
    """What was held before belongs to the month, in its tenant's zone, in which it was."""
    entries = apps.get_model("tenants", "LedgerEntry").objects.filter(month=None).select_related("tenant")
    for entry in entries.iterator():
        entry.month = entry.at.astimezone(ZoneInfo(entry.tenant.time_zone)).date().replace(day=1)
        entry.save(update_fields=["month"])


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_limits_of_keys_test_keys_and_the_audit"),
    ]

    operations = [
        migrations.AddField(
            model_name="ledgerentry",
            name="month",
            field=models.DateField(help_text="The first day of the tenant's month whose bill it is on.", null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["tenant", "month"], name="ledger_by_bill"),
        ),
    ]
