"""What is measured: the list of workloads, and how one turn of each is taken.

Owns: names, loads and the figures that a turn gives. A turn is one workload on one proxy that has been started for it.
Must never know: how figures of several turns are put together and shown.
"""

import dataclasses
import time

import probes
from peers import PROXY_CORE

# A turn in which others had more than this share of the core is taken again, so many times at most, and so many times
# in a whole run: on a machine that is never quiet it would not end otherwise.
TOO_MUCH = 0.3
TRIES = 3
SPARE = 60
# Below this the ticks in which CPU time is counted are too coarse.
LEAST_CPU = 0.1


@dataclasses.dataclass(frozen=True)
class Workload:
    """One thing to measure."""

    name: str
    what: str
    kind: str = "load"            # load, latency, memory or calls
    front: str = "plain"          # plain, tls or h2c: what clients speak
    targets: str = "small-1k.txt"
    routes: int = 10
    connections: int = 32
    streams: int = 0              # HTTP/2, when not 0
    post: int = 0
    close: bool = False
    gateway: bool = False
    per: str = "request"          # request, or GB where bytes are what counts
    baseline: str = "nginx"
    goal: float = 0               # at most so much of the baseline
    aside: bool = False           # whether it is about Postern itself

    def among(self, kinds):
        """The peers that it is for."""
        return [kind for kind in kinds if kind.aside or kind.name == "postern"] if self.aside else \
            [kind for kind in kinds if not kind.aside]

    def port(self, site):
        return {"plain": site.front, "tls": site.front_tls, "h2c": site.front_h2c}[self.front]


WORKLOADS = [
    Workload("get-1k", "GET 1 KB, kept connections, 10 routes", goal=0.80),
    Workload("get-1k-10000-routes", "the same, 10 000 routes, asked for at random", targets="large-1k.txt",
             routes=10_000, goal=0.75),
    Workload("tls-front", "GET 1 KB, TLS 1.3 in front, kept connections", front="tls", goal=0.85),
    Workload("tls-dest", "GET 1 KB, TLS 1.3 to the destination, kept connections", targets="tls-1k.txt", goal=0.85),
    Workload("post-16k", "POST 16 KB, answer 1 KB", post=16 * 1024, goal=0.75),
    Workload("get-100k", "GET 100 KB", targets="small-100k.txt", per="GB", baseline="nginx-stock", goal=0.35),
    Workload("get-10m", "GET 10 MB, 8 connections", targets="small-10m.txt", connections=8, per="GB",
             baseline="nginx-stock", goal=0.18),
    Workload("h2-front", "GET 1 KB, HTTP/2 over TLS, 8 connections of 16 streams", front="tls", connections=8,
             streams=16, goal=0.85),
    Workload("h2c-front", "the same in the clear, with prior knowledge", front="h2c", connections=8, streams=16,
             goal=0.85),
    Workload("handshakes", "a full TLS 1.3 handshake (P-256) for every request", front="tls", connections=16,
             close=True, goal=0.70),
    Workload("gateway-hs256", "token (HS256, 1 000 callers), limit, claim headers, prefix off", targets="gateway-hs.txt",
             gateway=True, baseline="haproxy", goal=0.55),
    Workload("gateway-rs256", "token (RS256, 1 000 callers), limit, claim headers, prefix off",
             targets="gateway-rs.txt", gateway=True, baseline="haproxy", goal=0.50),
    Workload("gateway-rs256-anew", "the same with 40 000 tokens, of which Postern remembers one in twelve",
             targets="gateway-rs-anew.txt", gateway=True, baseline="haproxy", goal=0.60),
    Workload("gateway-policy", "the same with a policy on a claim, and 1 % in an audit log",
             targets="gateway-po.txt", gateway=True, baseline="haproxy"),
    Workload("telemetry", "GET 1 KB with and without log, audit and traces of 1 %", aside=True,
             baseline="postern-silent", goal=1.10),
    Workload("latency", "added latency at 2 000 requests a second, open loop", kind="latency", goal=0.97),
    Workload("memory", "resident memory at 10 000 routes, and per idle connection", kind="memory", routes=10_000),
    Workload("syscalls", "system calls per request, GET 1 KB", kind="calls"),
]


class Turns:
    """Takes turns on a started peer."""

    def __init__(self, equipment, loads, options):
        self.equipment = equipment
        self.loads = loads
        self.options = options
        self.spare = SPARE

    def support(self, workload, peer):
        """Why a started peer cannot do it after all, or nothing: one request is asked, as the load will."""
        if workload.streams:
            tried = self.loads.h2(workload, workload.port(peer.site))
            if tried["failures"] or not tried["requests"]:
                return "not supported by this binary" if peer.name == "postern" else "no HTTP/2"
        return None

    def warm(self, workload, peer):
        if workload.kind != "memory":
            self._load(workload, peer, min(1.0, self.options.seconds))

    def take(self, workload, peer):
        """One turn's figures."""
        return {"load": self.load, "latency": self.latency, "memory": self.memory, "calls": self.calls}[
            workload.kind](workload, peer)

    def _load(self, workload, peer, seconds):
        ask = self.loads.h2 if workload.streams else self.loads.closed
        done = ask(workload, workload.port(peer.site), seconds)
        if done["failures"] or not done["requests"]:
            raise RuntimeError(f"{peer.name}: {workload.name}: the load failed: {done['failures']}")
        return done

    def load(self, workload, peer):
        """The quietest of a few tries: beside a compiler a turn tells more of the scheduler than of the proxy."""
        tries = []
        while not tries or tries[-1]["others"] > TOO_MUCH and len(tries) < TRIES and self.spare > 0:
            self.spare -= bool(tries)
            tries.append(self._load_once(workload, peer))
        best = min(tries, key=lambda turn: turn["others"])
        if best["cpu"] < LEAST_CPU:
            raise RuntimeError(f"{peer.name}: got {best['cpu']:.2f} s of its core, too little; other programs run")
        return best

    def _load_once(self, workload, peer):
        pids = probes.tree(peer.process.pid)
        before, core_before = probes.cpu_seconds(pids), probes.core_seconds(PROXY_CORE)
        done = self._load(workload, peer, self.options.seconds)
        core_after = probes.core_seconds(PROXY_CORE)
        # What is written behind (access log) belongs to the requests.
        time.sleep(0.05)
        cpu = probes.cpu_seconds(pids) - before
        wall, idle = (after - before for before, after in zip(core_before, core_after))
        work = done["requests"] if workload.per == "request" else done["bytes"] / 1e9
        return {"cost": cpu * (1e6 if workload.per == "request" else 1) / work,
                "rate": work / done["seconds"], "cpu": cpu, "idle": idle / wall,
                "others": max(0.0, 1 - (cpu + idle) / wall),
                "p99_us": done.get("latency_us", {}).get("p99")}

    def latency(self, workload, peer):
        """The peer's latencies less those of the destination asked directly just before."""
        direct = self.loads.paced(workload, peer.site.plain, self.options.seconds)["latency_us"]
        through = self.loads.paced(workload, workload.port(peer.site), self.options.seconds)["latency_us"]
        return {"cost": max(0, through["p50"] - direct["p50"]), "added_p99": max(0, through["p99"] - direct["p99"]),
                "direct_p50": direct["p50"], "direct_p99": direct["p99"]}

    def memory(self, workload, peer):
        pids = probes.tree(peer.process.pid)
        figures = {"started_mb": probes.memory_bytes(pids) / 1e6}
        # Every route once or more, so that what is made at the first request is there.
        self.loads.closed(workload, peer.site.front, min(1.0, self.options.seconds))
        figures["cost"] = probes.memory_bytes(pids) / 1e6
        for kind in ("plain", "tls"):
            if kind == "tls" and peer.lacks(dataclasses.replace(workload, front="tls")):
                continue
            # Anew each time: connections would fill what the load before them left free.
            peer.stop()
            peer.start(dataclasses.replace(peer.site, routes=10))
            pids = probes.tree(peer.process.pid)
            port = peer.site.front if kind == "plain" else peer.site.front_tls
            before = probes.memory_bytes(pids)
            with self.loads.idle("small-1k.txt", port, kind == "tls", self.options.idle) as (count, failure):
                time.sleep(1)
                after = probes.memory_bytes(pids)
            if failure:
                figures[f"{kind}_note"] = f"{count} connections, then: {failure}"
            if count:
                figures[f"{kind}_kb"] = (after - before) / count / 1024
                figures[f"{kind}_connections"] = count
        return figures

    def calls(self, workload, peer):
        pids = probes.tree(peer.process.pid)
        with probes.counted_calls(self.equipment, pids, peer.folder / "strace.txt") as found:
            done = self._load(workload, peer, self.options.seconds)
        each = {name: round(count / done["requests"], 3) for count, name in found if count > done["requests"] / 100}
        return {"cost": sum(count for count, _ in found) / done["requests"], "each": each}
