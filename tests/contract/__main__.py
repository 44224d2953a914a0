"""`python -m tests.contract`: Schemathesis from openapi.json at the whole running service, each check, both entrances.

It fails on every answer that the document does not have, and on every 500, whoever it was for.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy import stack
from tests.contract.rows import Alice
from tests.contract.service import Service

HERE = Path(__file__).parent
parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
parser.add_argument("--seconds", type=int, default=110, help="of calls")
parser.add_argument("--seed", type=int, default=1, help="of what is drawn: the same seed draws the same")
parser.add_argument("--keep", type=Path, help="a folder for logs and the database; a temporary one, if not given")


def schemathesis(service: Service, folder: Path, seconds: int, seed: int) -> bool:
    known, keys = folder / "rows.json", folder / "keys.json"
    known.write_text(json.dumps(Alice(service).rows()))
    keys.write_text(json.dumps({"auth": [_identity(name, key) for name, key in service.keys.items()]}))
    command = [str(stack.BIN / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", "openapi.json"]
    command += ["--url", service.url, "--max-time", str(seconds), "--seed", str(seed), "--no-color"]
    env = {**os.environ, "CONTRACT": str(known), "CONTRACT_KEYS": str(keys), "PYTHONPATH": str(stack.ROOT)}
    return subprocess.run(command, cwd=stack.ROOT, env=env, check=False).returncode == 0


def _identity(name: str, key: str) -> dict[str, object]:
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}


def main() -> int:
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is stopped leaves nothing behind
    with tempfile.TemporaryDirectory(prefix="contract-") as temporary:
        folder = given.keep or Path(temporary)
        service = Service(folder)
        try:
            held = schemathesis(service, folder, given.seconds, given.seed)
        finally:
            service.stop()
        failures = service.failures()
    print("\n".join(failures), end="")
    if held and not failures:
        return 0
    again = f"make contract SEED={given.seed} SECONDS={given.seconds}"
    print(f"The service and openapi.json differ, or it failed. The same again: {again}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
