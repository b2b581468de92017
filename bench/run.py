#!/usr/bin/env python3
"""Measures Postern beside nginx, HAProxy and Envoy, interleaved in one run on the same destination and load.

Owns: the command line and the order of turns. `make bench` builds what it needs and calls it; bench/README.md says how
to read what comes out.

Example, two workloads of a binary from elsewhere:
  bench/run.py --postern /tmp/postern-router --syncer /tmp/postern-syncer --only get-1k,post-16k --rounds 3
"""

import argparse
import datetime
import fcntl
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time

import chart
import equipment
import material
import peers
import probes
import report
from workloads import WORKLOADS, Turns


def main():
    options = arguments()
    # Idle connections by the thousand, on both sides.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: needs two cores: one for the proxy, one for the load and the destination")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    equipment.TOOLS.mkdir(parents=True, exist_ok=True)
    with (equipment.TOOLS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("bench: another measurement runs here, and each would spoil the other's figures")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=equipment.TOOLS))
        try:
            measure(options, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def measure(options, folder):
    found = equipment.gather(options.postern, options.syncer, options.peers)
    stuff = material.Material(folder / "material", found)
    stuff.make({workload.targets for workload in options.workloads})
    loads = probes.Loads(found, stuff)
    chosen = [kind for kind in peers.KINDS if kind.aside or kind.name in options.peers]
    kinds = [kind for kind in chosen if found.has(kind.name.partition("-")[0])]
    results = {
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": report.machine(),
        "versions": equipment.versions(found),
        "method": {"rounds": options.rounds, "seconds": options.seconds, "idle_connections": options.idle},
        "load_average": [os.getloadavg()[0]],
        "missing": found.missing,
        "peers": [kind.name for kind in kinds if not kind.aside],
        "workloads": {},
    }
    with loads.destination() as destination:
        run = Run(found, stuff, loads, folder, destination, options)
        for workload in options.workloads:
            if workload.streams and not found.has("h2load") or workload.kind == "calls" and not found.has("strace"):
                continue
            began = time.monotonic()
            results["workloads"][workload.name] = run.workload(workload, kinds)
            print(f"bench: {workload.name} done ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    results["load_average"].append(os.getloadavg()[0])
    print(report.write(results, options.out, chart.draw(results)))


class Run:
    """Takes every workload over all peers."""

    def __init__(self, found, stuff, loads, folder, destination, options):
        self.found, self.stuff, self.folder, self.destination = found, stuff, folder, destination
        self.options = options
        self.turns = Turns(found, loads, options)

    def workload(self, workload, kinds):
        skipped, running = {}, []
        try:
            for kind in workload.among(kinds):
                peer = kind(self.found, self.folder)
                why = peer.lacks(workload) or self._start(workload, peer)
                if why:
                    skipped[peer.name] = why
                    peer.stop()
                else:
                    running.append(peer)
            figures = {peer.name: [] for peer in running}
            # What does not change from round to round is looked at once.
            rounds = self.options.rounds if workload.kind in ("load", "latency") else 1
            for turn in range(rounds):
                first = turn % max(1, len(running))
                for peer in running[first:] + running[:first]:
                    figures[peer.name].append(self._turn(workload, peer, skipped))
        finally:
            for peer in running:
                peer.stop()
        return report.summary(workload, figures, skipped)

    def _start(self, workload, peer):
        site = peers.Site(self.stuff, workload.routes, *self.destination, *probes.free_ports(4))
        try:
            peer.start(site)
            why = self.turns.support(workload, peer)
            if why is None:
                self.turns.warm(workload, peer)
            return why
        except (RuntimeError, OSError) as error:
            print(f"bench: {workload.name}: {error}", file=sys.stderr)
            return told(error)

    def _turn(self, workload, peer, skipped):
        """A turn that fails is a hole in the figures, told, and no end of the run."""
        try:
            return self.turns.take(workload, peer)
        except (RuntimeError, OSError) as error:
            print(f"bench: {workload.name}: {error}", file=sys.stderr)
            skipped[peer.name] = told(error)
            return None


def told(error):
    """What goes into the report: one line, and no folder of this machine."""
    return str(error).splitlines()[0].replace(f"{equipment.ROOT}/", "")


def arguments():
    release = equipment.ROOT / "target" / "release"
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="bench/run.py", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="workloads:\n" + "\n".join(f"  {each.name:<20} {each.what}" for each in WORKLOADS))
    parser.add_argument("--postern", type=pathlib.Path, metavar="FILE",
                        default=os.environ.get("POSTERN_BENCH_ROUTER", release.parent / "ship" / "postern-router"),
                        help="the router (POSTERN_BENCH_ROUTER; target/ship/postern-router)")
    parser.add_argument("--syncer", type=pathlib.Path, metavar="FILE",
                        default=os.environ.get("POSTERN_BENCH_SYNCER", release / "postern-syncer"),
                        help="the syncer that goes with it (POSTERN_BENCH_SYNCER; target/release/postern-syncer)")
    parser.add_argument("--only", metavar="NAMES", help="these workloads, with commas between")
    parser.add_argument("--peers", metavar="NAMES", default="nginx,nginx-stock,haproxy,postern,envoy",
                        help="these proxies (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each proxy (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a turn loads (%(default)s)")
    parser.add_argument("--idle", type=int, default=9_500, metavar="N",
                        help="idle connections held (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="2 rounds of 1 s, 2 000 idle connections, no Envoy: to see whether something moved")
    parser.add_argument("--out", type=pathlib.Path, default=equipment.ROOT / "bench" / "results", metavar="DIR",
                        help="where latest.json, latest.md and latest.svg go (bench/results)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.idle = 2, 1.0, 2000
        options.peers = "nginx,nginx-stock,haproxy,postern"
    options.peers = options.peers.split(",")
    asked = options.only.split(",") if options.only else names
    unknown = [name for name in asked if name not in names] + \
        [name for name in options.peers if name not in report.TITLES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(names)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be 1 or more, --seconds more than 0")
    options.workloads = [workload for workload in WORKLOADS if workload.name in asked]
    return options


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench: ended")
