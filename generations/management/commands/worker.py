"""The `worker` command: run the worker's supervisor until it is stopped."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from generations.worker import loop
from generations.worker.supervisor import ClusterCannotStart, Supervisor


class Command(BaseCommand):
    help = "Run the worker until SIGTERM or SIGINT."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("--once", action="store_true", help="do one worker run, without the queue, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the supervisor, and exit with 1 if the cluster cannot start at all."""
        if options["once"]:
            loop.run()
            return
        try:
            Supervisor().run()
        except ClusterCannotStart as error:
            self.stderr.write(str(error))
            sys.exit(1)
