from django.db import migrations

OLD = {"generations:write", "generations:read", "usage:read"}
NEW = "webhooks:manage"


def give(apps, schema_editor):
    """A key that may do everything still may."""
    for key in apps.get_model("tenants", "ApiKey").objects.filter(revoked_at=None):
        if set(key.scopes) >= OLD and NEW not in key.scopes:
            key.scopes = [*key.scopes, NEW]
            key.save(update_fields=["scopes"])


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_on_doubt_and_submit_deadline")]
    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
