"""Write the tables of docs/ from the code."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from seedance_service.docs import tables


class Command(BaseCommand):
    help = "Write docs/SETTINGS.md, docs/ERRORS.md, docs/ACTIONS.md and docs/MODELS.md from the code."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Write each file and print its path."""
        folder = settings.BASE_DIR / "docs"
        folder.mkdir(exist_ok=True)
        for name, render in tables.TABLES.items():
            (folder / name).write_text(render(), encoding="utf-8")
            self.stdout.write(str(folder / name))
