"""Serve the sandbox upstream, on loopback by default: `python -m deploy.sandbox --port 8001 --dir var/sandbox`."""

import argparse
import os

from granian.constants import Interfaces
from granian.server import Server

parser = argparse.ArgumentParser(prog="python -m deploy.sandbox", description=__doc__)
parser.add_argument("--port", type=int, default=8001)
parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
parser.add_argument("--url", help="address where the service reaches the sandbox; default http://127.0.0.1:PORT")
parser.add_argument("--dir", default="var/sandbox", help="folder for tasks and videos")
parser.add_argument("--seconds", type=float, default=8.0, help="the shortest time that a task takes")

if __name__ == "__main__":
    arguments = parser.parse_args()
    os.environ["SANDBOX_DIR"] = arguments.dir
    os.environ["SANDBOX_SECONDS"] = str(arguments.seconds)
    os.environ["SANDBOX_URL"] = (arguments.url or f"http://127.0.0.1:{arguments.port}").rstrip("/")
    Server(
        "deploy.sandbox.app:application",
        address=arguments.host,
        port=arguments.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=16,
    ).serve()
