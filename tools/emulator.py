"""Runs the emulator of S3, DynamoDB, Secrets Manager and Parameter Store on loopback, until it is told to end or whoever started it is gone.

    .venv/bin/python tools/emulator.py [--port N]

Prints one line, `ready: http://127.0.0.1:PORT`, once it answers, so that a test can start it on a free port and
read the address. Everything is kept in memory: each run starts empty. The emulator's own log goes to stderr.

Use it with any key: AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=eu-west-1 AWS_ENDPOINT_URL=<address>
"""

import argparse
import os
import runpy
import socket
import sys
import threading
import time
import urllib.request


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    arguments = arguments.parse_args()
    port = arguments.port or free_port()

    os.environ.update(
        BIND_HOST="127.0.0.1",  # its own default is every interface
        GATEWAY_PORT=str(port),
        SERVICES="s3,dynamodb,secretsmanager,ssm",
        IOT_MTLS_ENABLED="0",  # would listen on every interface, port 8883, and clash with a second emulator
        PERSIST_STATE="0",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
    )
    # stdout carries the one line below and nothing else; the emulator's banner goes with its log.
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=say_when_ready, args=(port, ours), daemon=True).start()
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def say_when_ready(port, out):
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    # Never through a proxy: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(f"{url}/_ministack/ready", timeout=2) as answer:
                if answer.status == 200:
                    print(f"ready: {url}", file=out, flush=True)
                    return
        except OSError:
            time.sleep(0.05)
    print(f"tools/emulator.py: did not answer on {url} within 60 s", file=sys.stderr, flush=True)
    os._exit(1)


def end_with_parent(parent):
    # Polled instead of PR_SET_PDEATHSIG: that fires when the *thread* that started this process ends, and a test
    # harness starts it from whichever test comes first.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
