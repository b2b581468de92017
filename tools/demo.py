#!/usr/bin/env python3
"""Builds Postern and runs it on this machine, with two sample APIs behind it: `make demo`.

No AWS, no Docker: the boundary is a file and the registrations are a folder of files, copied afresh from demo/ into
.demo/ at every start, so they can be edited at will. Ends everything on Ctrl-C.

Environment: PORT (8080), ROUTER_ADMIN_PORT (9901), SYNCER_ADMIN_PORT (9902).
"""

import ctypes
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / ".demo"
SAMPLE_PORTS = {"orders": 9001, "invoices": 9002}  # as written in demo/


class Stop(Exception):
    """The user, or whoever started this, wants it to end."""


class Problem(Exception):
    """Something the user has to mend."""


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    children = []
    try:
        ports = choose_ports()
        claim_folder()
        binaries = build()
        lay_out(ports)
        start_all(children, binaries, ports)
        wait_until_ready(children, ports)
        print_invitation(ports)
        watch(children)
    except Stop:
        print("\ndemo: ending", flush=True)
    except Problem as problem:
        sys.exit(f"demo: {problem}")
    finally:
        end(children)


def stop(*_):
    # A second Ctrl-C must not break off the clean-up of the first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stop


# ---- before the start ----------------------------------------------------------------------------------------------


def choose_ports():
    """The fixed ones must be free, since people know them; the samples' may move."""
    ports, taken = {}, {}
    for name, variable, default in (("router", "PORT", 8080), ("router_admin", "ROUTER_ADMIN_PORT", 9901),
                                    ("syncer_admin", "SYNCER_ADMIN_PORT", 9902)):
        text = os.environ.get(variable) or str(default)
        if not text.isdigit() or not 1 <= int(text) <= 65535:
            raise Problem(f"{variable} is {text!r}; it must be a port, 1 to 65535")
        port = int(text)
        if port in ports.values():
            raise Problem(f"{variable} is {port}, which another of PORT, ROUTER_ADMIN_PORT, SYNCER_ADMIN_PORT is too")
        if not is_free(port):
            taken[variable] = port
        ports[name] = port
    if taken:
        instead = " ".join(f"{variable}={free_port(port + 10)}" for variable, port in taken.items())
        which = " and ".join(map(str, taken.values()))
        raise Problem(f"{'port' if len(taken) == 1 else 'ports'} {which} {'is' if len(taken) == 1 else 'are'} taken by "
                      f"another program. End that, or choose otherwise: {instead} make demo")
    for name, wanted in SAMPLE_PORTS.items():
        usable = wanted not in ports.values() and is_free(wanted)
        ports[name] = wanted if usable else free_port(wanted + 10, avoid=ports.values())
    return ports


def is_free(port):
    with socket.socket() as probe:
        # Connections of an earlier run may linger in TIME_WAIT; they do not count, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port(first, avoid=()):
    return next(port for port in range(first, 65536) if port not in avoid and is_free(port))


def claim_folder():
    """A second demo, on other ports, would pull the documents from under the first."""
    WORK.mkdir(exist_ok=True)
    try:
        # Held until this program ends, however it does.
        fcntl.flock(os.open(WORK, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Problem(f"a demo is running in {os.path.relpath(WORK)} already; end that one first") from None


def build():
    """Both binaries, with the profile that `make test` uses as well: the quickest to build, and built once for both."""
    if shutil.which("cargo") is None:
        raise Problem("no cargo found; install a Rust toolchain")
    print("demo: building (some minutes the first time)", flush=True)
    # The messages on stdout name the binaries wherever the target directory is; progress goes to stderr, to be seen.
    command = ["cargo", "build", "--locked", "-p", "postern-router", "-p", "postern-syncer",
               "--bins", "--message-format=json-render-diagnostics"]
    cargo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    try:
        messages = cargo.communicate()[0]
    except Stop:
        cargo.terminate()
        cargo.wait()
        raise
    if cargo.returncode != 0:
        raise Problem("the build failed; see above")
    built = [json.loads(line) for line in messages.splitlines() if line.startswith(b"{")]
    return {message["target"]["name"]: message["executable"] for message in built if message.get("executable")}


def lay_out(ports):
    """Fresh documents at every start, so that the demo shows the same whatever was tried the last time."""
    for old in WORK.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(ROOT / "demo", WORK, dirs_exist_ok=True)
    (WORK / "out").mkdir()
    moved = {str(port): str(ports[name]) for name, port in SAMPLE_PORTS.items()}
    for path in WORK.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"\b(9001|9002)\b", lambda found: moved[found[0]], text), encoding="utf-8")


# ---- running -------------------------------------------------------------------------------------------------------


def start_all(children, binaries, ports):
    for name in SAMPLE_PORTS:
        start(children, name, [sys.executable, "-u", str(ROOT / "tools" / "sample_destination.py"),
                               "--name", name, "--port", str(ports[name])])
    start(children, "syncer", [
        binaries["postern-syncer"], "run", "--boundary", f"{WORK}/boundary.yaml",
        "--registrations", f"{WORK}/registrations", "--out", f"{WORK}/out", "--interval", "1s",
        "--allow-loopback-destinations", "--admin", f"127.0.0.1:{ports['syncer_admin']}",
        "--router", f"127.0.0.1:{ports['router_admin']}"])
    start(children, "router", [
        binaries["postern-router"], "serve", "--config", f"{WORK}/out/merged.json",
        "--listen", f"127.0.0.1:{ports['router']}", "--admin", f"127.0.0.1:{ports['router_admin']}",
        "--allow-loopback-destinations"])


def start(children, name, command):
    # Settings of a real installation that lie about in the environment would make it another demo.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("POSTERN_", "AWS_"))}
    # There is no load balancer here that would have to learn of the end first.
    environment.update(POSTERN_ROUTER_SHUTDOWN__LAME_DUCK="0s", POSTERN_ROUTER_SHUTDOWN__DEADLINE="2s")
    with open(WORK / f"{name}.log", "wb") as log:
        # A session of its own: Ctrl-C goes to this program alone, which then ends the others in order.
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die_with_parent)
    children.append((name, child))


def die_with_parent():
    """Ends a child also when this program was killed without a chance to tidy up. Linux only; elsewhere a no-op."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass


def wait_until_ready(children, ports):
    # Never through a proxy: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    answer = "no answer"
    while time.monotonic() < deadline:
        check_alive(children)
        try:
            with opener.open(f"http://127.0.0.1:{ports['router_admin']}/readyz", timeout=2) as response:
                if response.status == 200 and all(listens(ports[name]) for name in SAMPLE_PORTS):
                    return
                answer = "the sample destinations do not listen"
        except urllib.error.HTTPError as error:
            answer = error.read(2000).decode("utf-8", "replace").strip()
        except OSError as error:
            answer = str(error)
        time.sleep(0.1)
    raise Problem(f"the router was not ready within 30 s: {answer}\n{tails('syncer', 'router')}")


def listens(port):
    """The router is ready with its routes, whether or not anybody answers behind them."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def watch(children):
    parent = os.getppid()
    while os.getppid() == parent:
        check_alive(children)
        time.sleep(0.3)
    raise Stop


def check_alive(children):
    for name, child in children:
        if child.poll() is not None:
            raise Problem(f"the {name} ended by itself, exit code {child.returncode}\n{tails(name)}")


def tails(*names):
    parts = []
    for name in names:
        path = WORK / f"{name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        parts.append(f"last lines of {os.path.relpath(path)}:\n" + "\n".join(f"  {line}" for line in lines))
    return "\n".join(parts)


def end(children):
    """The router first: it finishes what is in flight while the destinations are still there."""
    for _, child in reversed(children):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def print_invitation(ports):
    url = f"http://localhost:{ports['router']}"
    work = os.path.relpath(WORK)
    # The router answers the hosts of the boundary; a curl to 127.0.0.1 would ask for a host that is not listed.
    print(f"""\
ready: http://127.0.0.1:{ports['router']}

  a route:
    curl {url}/orders/42

  why /reports was refused:
    curl -s http://localhost:{ports['syncer_admin']}/conditions | grep DestinationNotAllowed

  a live change (another API answers, nothing is restarted):
    sed -i s/{ports['orders']}/{ports['invoices']}/ {work}/registrations/orders.yaml; sleep 2; curl {url}/orders/42

Documents and logs are in {work}/, the merged file is {work}/out/merged.json; the next start begins afresh.
Ctrl-C ends it.""", flush=True)


if __name__ == "__main__":
    main()
