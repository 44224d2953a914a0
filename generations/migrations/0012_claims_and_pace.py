from django.db import migrations, models

from tenants.db.migrations import AddIndexOnline, RemoveIndexOnline, SetStorage


class Migration(migrations.Migration):
    """Claims by lane and by tenant, and one pace over all hosts.

    A worker of the release before finds what is due without `generation_due` too, by reading all live rows.
    """

    atomic = False
    dependencies = [("generations", "0011_roles")]
    operations = [
        migrations.CreateModel(
            name="Pace",
            fields=[
                ("upstream", models.CharField(help_text="live.", max_length=10, primary_key=True, serialize=False)),
                ("free_at", models.DateTimeField()),
            ],
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)),
                fields=["status", "due_at"],
                name="generation_due_by_lane",
            ),
        ),
        AddIndexOnline(
            model_name="generation",
            index=models.Index(
                condition=models.Q(("status", "queued")), fields=["tenant", "due_at"], name="generation_waiting"
            ),
        ),
        RemoveIndexOnline(model_name="generation", name="generation_due"),
        # Each poll writes a row anew, and all of its indexes: dead ones are cleared away early, and there is room for
        # the next one on the same page.
        SetStorage(
            "generations_generation",
            fillfactor=70,
            autovacuum_vacuum_scale_factor=0.01,
            autovacuum_vacuum_cost_delay=0,
        ),
        SetStorage("generations_slot", fillfactor=50, autovacuum_vacuum_scale_factor=0.01),
    ]
