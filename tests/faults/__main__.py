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
parser.add_argument("--seed", type=int, default=None, help="of the dice; drawn and told, if not given")
parser.add_argument("--least", type=int, default=1, help="how often each failpoint must be hit")
parser.add_argument("--keep", type=Path, help="a folder for logs and databases; a temporary one, if not given")


def run(database: str, minutes: float, seed: int, least: int, folder: Path) -> bool:
    """In a process of its own, since Django takes one database."""
    pid = os.fork()
    if pid:
        for number in (signal.SIGTERM, signal.SIGINT):  # what is stopped leaves nothing behind
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
        found = report.promises(lab)
        print(report.text(lab, found), flush=True)
        if rarely := lab.rarely_hit():
            print(f"  Hit less than {least} times: {rarely}", flush=True)
        broken = bool(rarely or any(promise.broken for promise in found))
    finally:
        lab.stop()
    sys.stdout.flush()
    os._exit(1 if broken else 0)


def main() -> int:
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    print(f"The seed of the dice: {seed}", flush=True)
    fine = True
    for database in given.database or ["sqlite", "postgres"]:
        with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
            folder = (given.keep or Path(temporary)) / database
            folder.mkdir(parents=True)
            fine &= run(database, given.minutes, seed, given.least, folder)
    print("Every promise held." if fine else "A PROMISE WAS BROKEN.", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
