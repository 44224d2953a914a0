"""Audit entries without a tenant, and the token by which a form of the panel acts once."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0008_plain_words"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="form_token",
            field=models.CharField(
                editable=False, help_text="The token of the panel's form: a form acts once.", max_length=100, null=True
            ),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="tenant",
            field=models.ForeignKey(
                help_text="Empty for an action that concerns no tenant, or all of them.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="audit",
                to="tenants.tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="auditentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("form_token__isnull", False)), fields=("form_token",), name="a_form_acts_once"
            ),
        ),
    ]
