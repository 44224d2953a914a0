from typing import Any

from django.db import migrations, models
from django.db.models import Value


def name_accounts(apps: Any, _: Any) -> None:
    """Name Novita's account in the rows that called it "live", which now means every account but the sandbox."""
    for name in ("Pause", "PollPause", "Pace"):
        model = apps.get_model("generations", name)
        for row in model.objects.filter(pk="live"):
            model.objects.filter(pk="live").delete()
            row.pk = "novita"
            row.save(force_insert=True)
    pauses = apps.get_model("generations", "ManualPause").objects.filter(scope="model", target__endswith="@live")
    for pause in pauses:
        pause.target = pause.target.removesuffix("live") + "novita"
        pause.save()


class Migration(migrations.Migration):
    """A generation's row says which upstream account its attempt went to, and over which wire."""

    dependencies = [("generations", "0026_indexes_by_model")]

    operations = [
        migrations.AddField(
            "attempt",
            "account",
            models.CharField(blank=True, db_default="", help_text="The upstream account.", max_length=20),
        ),
        migrations.AddField(
            "attempt",
            "reference",
            models.CharField(
                blank=True,
                db_default="",
                help_text="An id that no one can guess, which went upstream with it.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            "generation",
            "account",
            models.CharField(
                blank=True,
                db_default="",
                help_text="The upstream account that the last attempt went to.",
                max_length=20,
            ),
        ),
        migrations.AddField(
            "generation",
            "wire",
            models.CharField(blank=True, db_default="", help_text="The protocol that is spoken there.", max_length=20),
        ),
        migrations.AddField(
            "generation",
            "upstream_shape",
            models.JSONField(
                blank=True,
                db_default=Value({}, models.JSONField()),
                default=dict,
                help_text="Resolution, aspect ratio and duration as the upstream reports them, if it does.",
            ),
        ),
        migrations.AddField(
            "generation",
            "quote_micro",
            models.BigIntegerField(
                help_text="Micro-USD of the video at the account of the last attempt. Empty: the maximum price.",
                null=True,
            ),
        ),
        migrations.AlterField(
            "attempt",
            "outcome",
            models.CharField(
                blank=True,
                help_text="created, not_created, route_gone, create_failed, not_sent, refused, in_doubt, found or "
                "not_found.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            "manualpause",
            "target",
            models.CharField(
                blank=True,
                help_text="The account, or live for all but the sandbox; the number of the tenant; or the name of the "
                "model, with @ and an account behind it if the model is held at one account.",
                max_length=100,
            ),
        ),
        *[
            migrations.AlterField(
                name,
                "upstream",
                models.CharField(
                    help_text="The name of the account.", max_length=20, primary_key=True, serialize=False
                ),
            )
            for name in ("pace", "pause", "pollpause")
        ],
        migrations.RunPython(name_accounts, migrations.RunPython.noop),
    ]
