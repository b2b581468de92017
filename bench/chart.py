"""Draws the ratios as bars: one group a workload, one bar a proxy, the workload's baseline at 1.

Owns: the SVG, written by hand so that it needs no library and stays small.
Must never know: how a ratio came about.
"""

from report import TITLES

COLOURS = {"nginx": "#6b9e78", "nginx-stock": "#6b9e78", "haproxy": "#7a8fb8", "postern": "#d1603d", "envoy": "#b5a4c7"}
MOST = 2.5                     # longer bars are cut and say their figure
LEFT, WIDTH, BAR, GAP = 170, 480, 11, 12


def draw(results):
    bars, y = [], 56
    for name, told in results["workloads"].items():
        group = [(peer, entry[f"to_{told['baseline']}"]) for peer in results["peers"]
                 if (entry := told["peers"].get(peer)) and f"to_{told['baseline']}" in entry]
        if not group:
            continue
        middle = y + len(group) * BAR / 2 + 4
        bars.append(text(LEFT - 8, middle, name, "end"))
        for peer, ratio in group:
            bars.append(bar(y, peer, ratio))
            y += BAR
        y += GAP
    one = x_of(1)
    line = f'<line x1="{one:.0f}" y1="44" x2="{one:.0f}" y2="{y - GAP + 4}" stroke="#444" stroke-dasharray="3 3"/>'
    title = "Cost beside the baseline (nginx, as it comes for get-100k and get-10m; HAProxy for gateway-*); shorter is better"
    head = [text(8, 18, title, "start"), *legend(results["peers"]),
            text(one, 42, "1.00", "middle")]
    height = y + 4
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        f'viewBox="0 0 {LEFT + WIDTH + 60} {height}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>', *head, *bars, line, "</svg>", ""])


def x_of(ratio):
    return LEFT + WIDTH * min(ratio, MOST) / MOST


def bar(y, peer, ratio):
    end, middle = x_of(ratio["median"]), y + BAR / 2
    least, most = x_of(ratio["least"]), x_of(ratio["most"])
    spread = f'<line x1="{least:.0f}" y1="{middle:.1f}" x2="{most:.0f}" y2="{middle:.1f}" stroke="#222"/>' \
        if ratio["most"] > ratio["least"] else ""
    return (f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.0f}" height="{BAR - 1}" fill="{COLOURS[peer]}"/>{spread}' +
            text(max(end, most) + 4, y + BAR - 2, f"{ratio['median']:.2f}", "start"))


def legend(peers):
    drawn, x = [], LEFT
    for peer in peers:
        drawn.append(f'<rect x="{x}" y="25" width="9" height="9" fill="{COLOURS[peer]}"/>')
        drawn.append(text(x + 13, 33, TITLES[peer], "start"))
        x += 75
    return drawn


def text(x, y, words, anchor):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="#222">{words}</text>'
