"""The `migrate` command: Django's own, by one host at a time, and repeatable from any point at which it was killed."""

from typing import Any

from django.core.management.commands import migrate

from tenants.db.engine import engine
from tenants.db.migrating import Executor

# The command finds its executor by this name of its module, and takes no other.
migrate.MigrationExecutor = Executor  # type: ignore[attr-defined]


class Command(migrate.Command):
    """Migrate the database. Hosts that migrate at once do so one after the other."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, once no other host does. `--plan` and `--check` change nothing, and do not wait."""
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        with engine.migration_lock(self._say_that_it_waits):
            super().handle(*args, **options)

    def _say_that_it_waits(self) -> None:
        self.stderr.write("Another host migrates this database; this one goes on when that one is done.")
