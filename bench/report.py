"""Puts the figures of many turns together and shows them: medians, ratios with their spread, Markdown and JSON.

Owns: what a figure means. A ratio is taken between turns of the same round, which ran within seconds of each other,
so that what the machine did meanwhile falls on both; of the rounds' ratios the median is told, with the least and the
most.
Must never know: how a figure was measured.
"""

import json
import os
import pathlib
import platform
import re
import statistics

from peers import AS_NGINX

TITLES = {"nginx": "nginx", "nginx-stock": "nginx as it comes", "haproxy": "HAProxy", "postern": "Postern", "envoy": "Envoy",
          "postern-silent": "Postern, log and audit off", "postern-traced": "Postern, and traces of 1 %"}
UNITS = {"load": "µs CPU per request", "latency": "µs added at p50", "memory": "MB", "calls": "calls per request"}
# More of the core than this without work: the proxy waited for its load, and batched less than at its limit. More than
# this for other programs: its caches were not its own.
SHARE = 0.15


def unit(workload):
    return "CPU s per GB" if workload.per == "GB" else UNITS[workload.kind]


def summary(workload, turns, skipped):
    """Of {peer: [turn per round]} the medians and ratios."""
    told = {"what": workload.what, "unit": unit(workload), "baseline": workload.baseline, "goal": workload.goal or None,
            "aside": workload.aside,
            "skipped": skipped, "peers": {}}
    for peer, rounds in turns.items():
        good = [turn for turn in rounds if turn]
        if not good:
            continue
        entry = {"median": {key: statistics.median(values) for key in good[0]
                            if (values := numbers(good, key))}, "rounds": [turn and turn["cost"] for turn in rounds]}
        entry["more"] = {key: value for key, value in good[-1].items() if isinstance(value, (str, dict))}
        for other in ("nginx", "nginx-stock", "haproxy", "postern-silent"):
            ratios = [mine["cost"] / theirs["cost"] for mine, theirs in zip(rounds, turns.get(other, []))
                      if mine and theirs and theirs["cost"]]
            if ratios:
                entry[f"to_{other}"] = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        told["peers"][peer] = entry
    return told


def numbers(turns, key):
    return [turn[key] for turn in turns if isinstance(turn.get(key), (int, float))]


def machine():
    """What figures depend on, without anything that tells whose machine it is."""
    cpu = next((line.partition(":")[2].strip() for line in read("/proc/cpuinfo").splitlines()
                if line.startswith("model name")), platform.machine())
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    system = re.search(r'^PRETTY_NAME="(.*)"', read("/etc/os-release"), re.MULTILINE)
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": int(memory[1]) // 2**20 if memory else None,
            "system": system[1] if system else platform.system(), "kernel": platform.release().split("-")[0]}


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def markdown(results):
    """The whole report."""
    peers = results["peers"]
    lines = [*heading(results), "",
             "| workload | unit | " + " | ".join(TITLES[peer] for peer in peers) +
             " | Postern / nginx | Postern / nginx as it comes | Postern / HAProxy | goal |",
             "|---|---|" + "---|" * (len(peers) + 4)]
    for name, told in results["workloads"].items():
        if told["aside"]:
            continue
        cells = [absolute(told, peer) for peer in peers]
        ratios = [ratio(told, other) for other in ("nginx", "nginx-stock", "haproxy")]
        goal = f"{told['goal']:.2f} × {TITLES[told['baseline']]}" if told["goal"] else "–"
        lines.append(f"| {name} | {told['unit']} | " + " | ".join(cells + ratios + [goal]) + " |")
    lines += ["", "Less is better everywhere. Ratios: median of the rounds (least to most). `*`: the proxy's core had "
                  f"nothing to do for more than {SHARE:.0%} of the time, so the load was the limit. `†`: other "
                  "programs took more than that of it."]
    for part in (rates, telling, added, memory, calls, left_out):
        lines += part(results)
    return "\n".join(lines) + "\n"


def heading(results):
    where, how = results["machine"], results["method"]
    before, after = results["load_average"]
    return [f"# Postern beside its peers, {results['made']}", "",
            f"{where['cores']} cores of {where['cpu']}, {where['memory_gib']} GiB, {where['system']}, kernel "
            f"{where['kernel']}; load average {before:.1f} before, {after:.1f} after.",
            f"{how['rounds']} rounds of {how['seconds']} s, peers in turn within each round, the order rotated; proxy "
            "on core 0 with one worker, load and destination on core 1; access log, metrics and kept connections on.",
            "",
            "; ".join(f"{name}: {version}" for name, version in results["versions"].items()) + "."]


def absolute(told, peer):
    entry = told["peers"].get(peer)
    if not entry:
        return "–"
    median = entry["median"]
    mark = ("\\*" if median.get("idle", 0) > SHARE else "") + ("†" if median.get("others", 0) > SHARE else "")
    return f"{figure(median['cost'])}{mark}"


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(told, other):
    entry = told["peers"].get("postern", {}).get(f"to_{other}")
    return f"**{entry['median']:.2f}** ({entry['least']:.2f} to {entry['most']:.2f})" if entry else "–"


def rates(results):
    """What each did in the time, for those who think in throughput."""
    rows = []
    for name, told in results["workloads"].items():
        if told["aside"]:
            continue
        cells = []
        for peer in results["peers"]:
            median = told["peers"].get(peer, {}).get("median", {})
            rate = median.get("rate")
            cells.append("–" if rate is None else f"{rate:.2f} GB/s" if "GB" in told["unit"] else f"{rate:,.0f}/s")
        if any(cell != "–" for cell in cells):
            rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return table("Throughput of one core", ["workload", *titles(results)], rows)


def titles(results):
    return [TITLES[peer] for peer in results["peers"]]


def table(title, columns, rows):
    if not rows:
        return []
    return ["", f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *rows]


def entries(results, workload):
    for peer in results["peers"]:
        entry = results["workloads"].get(workload, {}).get("peers", {}).get(peer)
        if entry:
            yield TITLES[peer], entry


def telling(results):
    """What it costs that Postern tells what it does."""
    rows = []
    found = results["workloads"].get("telemetry", {}).get("peers", {})
    for peer in ("postern-silent", "postern", "postern-traced"):
        if entry := found.get(peer):
            told = entry.get("to_postern-silent")
            cell = f"**{told['median']:.2f}** ({told['least']:.2f} to {told['most']:.2f})" if told else "–"
            rows.append(f"| {TITLES[peer]} | {figure(entry['median']['cost'])} | {cell} |")
    return table("What telling costs", ["", "µs CPU per request", "to log and audit off"], rows)


def added(results):
    rows = []
    for title, entry in entries(results, "latency"):
        median = entry["median"]
        rows.append(f"| {title} | {median['cost']:.0f} | {median['added_p99']:.0f} | {median['direct_p50']:.0f} | "
                    f"{median['direct_p99']:.0f} |")
    return table("Added latency, µs", ["proxy", "p50", "p99", "direct p50", "direct p99"], rows)


def memory(results):
    rows = []
    for title, entry in entries(results, "memory"):
        median = entry["median"]
        each = [f"{median[key]:.1f}" if key in median else "–" for key in ("plain_kb", "tls_kb")]
        rows.append(f"| {title} | {median['started_mb']:.1f} | {median['cost']:.1f} | " + " | ".join(each) + " |")
    columns = ["proxy", "MB, 10 000 routes, started", "MB, after requests", "KB per idle connection", "with TLS"]
    return table("Memory", columns, rows)


def calls(results):
    rows = []
    for title, entry in entries(results, "syscalls"):
        each = ", ".join(f"{name} {count:.2f}" for name, count in entry["more"].get("each", {}).items())
        rows.append(f"| {title} | {entry['median']['cost']:.2f} | {each} |")
    return table("System calls per request", ["proxy", "all", "of which"], rows)


def left_out(results):
    lines = [f"* {name}: {TITLES.get(peer, peer)}: {why}" for name, told in results["workloads"].items()
             for peer, why in told["skipped"].items() if why != AS_NGINX]
    for name, told in results["workloads"].items():
        for peer, entry in told["peers"].items():
            lines += [f"* {name}: {TITLES[peer]}: {note}" for key, note in entry["more"].items()
                      if key.endswith("_note")]
    lines += [f"* {name}: {why}" for name, why in results["missing"].items()]
    return ["", "## Left out", "", *lines] if lines else []


def write(results, folder, chart):
    """latest.json, latest.md and latest.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (folder / "latest.json").write_text(json.dumps(rounded(results), indent=1) + "\n", encoding="utf-8")
    (folder / "latest.md").write_text(text, encoding="utf-8")
    (folder / "latest.svg").write_text(chart, encoding="utf-8")
    return text


def rounded(value):
    """Four digits are more than is known, and keep the file's changes small."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return value
