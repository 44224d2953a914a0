"""`python -m tests.faults --minutes 5`: hurt the whole service for that long on each database, and print the report."""

import argparse
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
parser.add_argument(
    "--minutes",
    type=float,
    default=5.0,
    help="of faults, on each database; more, up to four times, where a failpoint needs it",
)
parser.add_argument("--database", choices=["sqlite", "postgres"], action="append", help="both, if not given")
parser.add_argument("--seed", type=int, default=None, help="of the random faults; random and printed, if not given")
parser.add_argument("--least", type=int, default=1, help="how often each failpoint must be hit")
parser.add_argument("--keep", type=Path, help="a folder for logs and databases; a temporary one, if not given")


def run(database: str, minutes: float, seed: int, least: int, folder: Path) -> bool:
    """Run the lab on one database, in its own process, since Django takes one. Return whether all promises held."""
    pid = os.fork()
    if pid:
        for number in (signal.SIGTERM, signal.SIGINT):  # a stopped lab leaves nothing behind
            signal.signal(number, lambda *_: os.kill(pid, signal.SIGTERM))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    import tests.support.environment  # noqa: F401
    from tests.faults.lab import Lab

    lab, broken = Lab(database, minutes * 60, seed, folder, least=least), True
    try:
        os.environ.update(DATABASE_URL=lab.database.url, SECRET_KEY=lab.secret_key)
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
        import django

        django.setup()
        from tests.faults import report

        lab.start()
        lab.run()
        promises = report.promises(lab)
        print(report.text(lab, promises), flush=True)
        if rarely := lab.rarely_hit():
            print(f"  Hit less than {least} times: {rarely}", flush=True)
        broken = bool(rarely or any(promise.broken for promise in promises))
    finally:
        lab.stop()
    sys.stdout.flush()
    os._exit(1 if broken else 0)


def main() -> int:
    """Run the lab on each database. Return the exit status."""
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"The seed of the random faults: {seed}", flush=True)
    is_fine = True
    for database in options.database or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
            folder = (options.keep or Path(temporary)) / database
            folder.mkdir(parents=True)
            is_fine &= run(database, options.minutes, seed, options.least, folder)
    print("Every promise held." if is_fine else "A PROMISE WAS BROKEN.", flush=True)
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
