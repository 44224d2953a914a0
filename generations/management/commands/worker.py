"""The `worker` command: run the worker's supervisor until it is stopped."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from generations.worker.supervisor import ClusterCannotStart, Supervisor


class Command(BaseCommand):
    help = "Run the worker until SIGTERM or SIGINT."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the supervisor, and exit with 1 if the cluster cannot start at all."""
        try:
            Supervisor().run()
        except ClusterCannotStart as error:
            self.stderr.write(str(error))
            sys.exit(1)
