from django.db import migrations

# Every permission is Django's own for a model: its name in a sentence, and which of the four.
OPERATIONS = {
    ("generations", "generation"): "generation",
    ("generations", "seedrecord"): "seed",
    ("generations", "pause"): "pause",
    ("generations", "worker"): "worker",
    ("generations", "webhookendpoint"): "webhook endpoint",
    ("generations", "delivery"): "delivery",
    ("tenants", "tenant"): "tenant",
    ("tenants", "apikey"): "api key",
}
MONEY = {
    ("tenants", "tenant"): "tenant",
    ("tenants", "apikey"): "api key",
    ("tenants", "ledgerentry"): "ledger entry",
    ("tenants", "auditentry"): "audit entry",
}
STAFF = {("auth", "user"): "user", ("auth", "group"): "group"}
EVERYTHING = {**OPERATIONS, **MONEY}


def _all(models, *actions):
    return [(action, model, models[model]) for model in models for action in actions]


ROLES = {
    # Sees how the work stands, and does nothing.
    "viewer": _all(OPERATIONS, "view"),
    # Sees the same and what was done, and acts on generations, webhooks and keys that are there.
    "support": [
        *_all(OPERATIONS, "view"),
        ("view", ("tenants", "auditentry"), "audit entry"),
        ("change", ("generations", "generation"), "generation"),
        ("add", ("generations", "webhookendpoint"), "webhook endpoint"),
        ("change", ("generations", "webhookendpoint"), "webhook endpoint"),
        ("change", ("generations", "delivery"), "delivery"),
        ("change", ("tenants", "apikey"), "api key"),
    ],
    # Limits, bills and the ledger; no prompt, no picture, no video.
    "billing": [*_all(MONEY, "view"), ("change", ("tenants", "tenant"), "tenant")],
    # All of it, and who else may enter.
    "owner": [
        *_all(EVERYTHING, "view"),
        ("change", ("generations", "generation"), "generation"),
        ("add", ("generations", "webhookendpoint"), "webhook endpoint"),
        ("change", ("generations", "webhookendpoint"), "webhook endpoint"),
        ("change", ("generations", "delivery"), "delivery"),
        ("add", ("tenants", "tenant"), "tenant"),
        ("change", ("tenants", "tenant"), "tenant"),
        ("add", ("tenants", "apikey"), "api key"),
        ("change", ("tenants", "apikey"), "api key"),
        *_all(STAFF, "view"),
        ("add", ("auth", "user"), "user"),
        ("change", ("auth", "user"), "user"),
    ],
}


def make(apps, schema_editor):
    """Permissions appear after the last migration: those that are needed are made here, as Django would."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for role, wanted in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        for action, (app, model), name in wanted:
            kind, _ = ContentType.objects.get_or_create(app_label=app, model=model)
            permission, _ = Permission.objects.get_or_create(
                content_type=kind, codename=f"{action}_{model}", defaults={"name": f"Can {action} {name}"}
            )
            group.permissions.add(permission)


def unmake(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("generations", "0010_the_panel"),
        ("tenants", "0006_webhooks_scope"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make, unmake)]
