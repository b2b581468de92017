"""Reads what a run cost: CPU time, memory and system calls of a process tree, and what the loads count.

Owns: /proc, the load programs' command lines and what they print.
Must never know: which proxy it looks at, or why.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time

LOAD_CORE = "1"
TICK = os.sysconf("SC_CLK_TCK")


# ---- /proc ---------------------------------------------------------------------------------------------------------


def tree(pid):
    """A process and all its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(fields(entry.name)[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def fields(pid):
    """/proc/PID/stat from the state on: the name before it may hold spaces."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def cpu_seconds(pids):
    """User and system time of all their threads so far, those that ended included."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = fields(pid)
            total += int(stat[11]) + int(stat[12])
    return total / TICK


def core_seconds(core):
    """Of a core: seconds so far in all, and those in which it had nothing to do."""
    line = next(line for line in pathlib.Path("/proc/stat").read_text(encoding="utf-8").splitlines()
                if line.startswith(f"cpu{core} "))
    spent = [int(text) / TICK for text in line.split()[1:9]]
    return sum(spent), spent[3] + spent[4]


def memory_bytes(pids):
    """Resident memory; what several of the processes share counts once (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024
    return total


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


# ---- loads ---------------------------------------------------------------------------------------------------------


class Loads:
    """The load programs, pinned to the core that the proxies do not use."""

    def __init__(self, equipment, material):
        self.equipment = equipment
        self.material = material

    def pinned(self, *command):
        return [self.equipment["taskset"], "-c", LOAD_CORE, *command]

    @contextlib.contextmanager
    def destination(self):
        """Runs the destination; its ports for plain and TLS."""
        path = self.material.path
        command = self.pinned(self.equipment["load"], "backend", "--listen", "127.0.0.1:0", "--listen-tls",
                              "127.0.0.1:0", "--certificate", path("leaf.pem"), "--key", path("leaf.key"))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            told = json.loads(process.stdout.readline())
            if "error" in told:
                raise RuntimeError(f"the destination: {told['error']}")
            yield tuple(int(told[kind].rpartition(":")[2]) for kind in ("plain", "tls"))
        finally:
            process.kill()
            process.wait()

    def _own(self, command, port, targets, tls, *more):
        arguments = [command, "--address", f"127.0.0.1:{port}", "--targets", self.material.path(targets), *more]
        if tls:
            arguments += ["--tls", self.material.path("ca.pem")]
        return self.pinned(self.equipment["load"], *arguments)

    def closed(self, workload, port, seconds):
        """As fast as answers come. What it counted: requests, bytes, seconds, failures, latency_us."""
        more = ["--connections", str(workload.connections), "--seconds", str(seconds)]
        if workload.post:
            more += ["--post", str(workload.post)]
        if workload.close:
            more.append("--close")
        return run_json(self._own("load", port, workload.targets, workload.front == "tls", *more), seconds + 60)

    def paced(self, workload, port, seconds):
        """At a fixed rate; latencies."""
        more = ["--rate", "2000", "--connections", str(workload.connections), "--seconds", str(max(1, round(seconds)))]
        return run_json(self._own("paced", port, workload.targets, workload.front == "tls", *more), seconds + 60)

    @contextlib.contextmanager
    def idle(self, targets, port, tls, count):
        """Holds idle connections; how many there are, and why there are not more."""
        command = self._own("idle", port, targets, tls, "--connections", str(count))
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            told = json.loads(process.stdout.readline() or '{"open": 0, "failure": "the opener ended"}')
            yield told.get("open", 0), told.get("failure") or told.get("error")
        finally:
            process.kill()
            process.wait()

    def h2(self, workload, port, seconds=None):
        """h2load over HTTP/2, for so many seconds, or one request to see whether it is spoken."""
        scheme = "https" if workload.front == "tls" else "http"
        paths = pathlib.Path(self.material.path(workload.targets)).read_text(encoding="utf-8").split()
        host = "api.example.com"
        listed = self.material.path(f"h2-{port}.txt")
        pathlib.Path(listed).write_text("".join(f"{scheme}://{host}{path}\n" for path in paths), encoding="utf-8")
        length = ["-n1", "-c1"] if seconds is None else \
            [f"-D{max(1, round(seconds))}", f"-c{workload.connections}", f"-m{workload.streams}"]
        command = self.pinned(self.equipment["h2load"], *length, "-i", listed, f"--connect-to=127.0.0.1:{port}")
        began = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=(seconds or 5) + 60,
                                  env=self.equipment.environment)
        finally:
            pathlib.Path(listed).unlink()
        return h2_counted(done.stdout, time.monotonic() - began)


def run_json(command, patience):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    try:
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"the load ended with {done.returncode}: {done.stderr.strip()[-500:]}") from error
    if "error" in told:
        raise RuntimeError(f"the load: {told['error']}")
    return told


def h2_counted(text, seconds):
    requests = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", text)
    data = re.search(r"\((\d+)\) data", text)
    protocol = re.search(r"Application protocol: (\S+)", text)
    if not requests or not protocol or protocol[1] not in ("h2", "h2c"):
        return {"requests": 0, "bytes": 0, "seconds": seconds, "failures": {"no HTTP/2": 1}}
    failures = {"failed": int(requests[3])} if int(requests[3]) else {}
    if int(requests[2]) < int(requests[1]):
        failures.setdefault("not 2xx", int(requests[1]) - int(requests[2]))
    finished = re.search(r"finished in ([\d.]+)(ms|s)", text)
    if finished:
        seconds = float(finished[1]) / (1000 if finished[2] == "ms" else 1)
    return {"requests": int(requests[1]), "bytes": int(data[1]) if data else 0, "seconds": seconds,
            "failures": failures}


# ---- system calls --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def counted_calls(equipment, pids, path):
    """Counts the system calls of processes meanwhile; afterwards the list holds (calls, name), most often first."""
    found = []
    command = [equipment["strace"], "-f", "-c", "-o", str(path)]
    for pid in pids:
        command += ["-p", str(pid)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)  # strace does not tell when it has attached to every thread
    try:
        yield found
    finally:
        process.terminate()
        process.wait()
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row[2] != "total":
            found.append((int(row[1]), row[2]))
    found.sort(reverse=True)
