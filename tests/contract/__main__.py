"""`python -m tests.contract`: whether the running service and openapi.json agree, in both APIs.

First, clients generated from openapi.json make a video each, and the model maker's own SDK makes some at the sandbox.
Then each operation is called with each of its examples. Then Schemathesis calls every operation with every check, for a
limited time.
The run fails on each answer that the document does not have, and on every 500.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy import stack
from tests.contract import ark_sdk, each_operation, generated_clients
from tests.contract.rows import Alice
from tests.contract.service import Service

HERE = Path(__file__).parent
parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
parser.add_argument("--seconds", type=int, default=110, help="how long Schemathesis calls the service")
parser.add_argument("--seed", type=int, default=1, help="the seed of Schemathesis: the same seed makes the same calls")
parser.add_argument("--keep", type=Path, help="a folder for logs and the database; by default a temporary one")


def run_schemathesis(service: Service, rows_of: dict[str, Any], folder: Path, seconds: int, seed: int) -> bool:
    """Run Schemathesis against the service. Return whether no check failed."""
    rows, keys = folder / "rows.json", folder / "keys.json"
    rows.write_text(json.dumps(rows_of))
    keys.write_text(json.dumps({"auth": [_identity(name, key) for name, key in service.keys.items()]}))
    command = [str(stack.BIN / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", "openapi.json"]
    command += ["--url", service.url, "--max-time", str(seconds), "--seed", str(seed), "--no-color"]
    env = {**os.environ, "CONTRACT": str(rows), "CONTRACT_KEYS": str(keys), "PYTHONPATH": str(stack.ROOT)}
    return subprocess.run(command, cwd=stack.ROOT, env=env, check=False).returncode == 0


def _identity(name: str, key: str) -> dict[str, object]:
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}


def main() -> int:
    """Run the clients and Schemathesis. Return the exit status."""
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service is stopped
    with tempfile.TemporaryDirectory(prefix="contract-") as temporary:
        folder = options.keep or Path(temporary)
        service = Service(folder)
        try:
            with tempfile.TemporaryDirectory(prefix="clients-") as clients:
                failures = generated_clients.failures(service, Path(clients))
            failures += ark_sdk.failures(service)
            rows = Alice(service).create_rows()
            failures += each_operation.Caller(service, rows).failures()
            passed = run_schemathesis(service, rows, folder, options.seconds, options.seed)
        finally:
            service.stop()
        failures += service.failures()
    for failure in failures:
        print(failure)
    if passed and not failures:
        return 0
    command = f"make contract SEED={options.seed} SECONDS={options.seconds}"
    print(f"The service and openapi.json differ, or a request failed. To repeat the run: {command}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
