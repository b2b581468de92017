// How long requests took over the last minutes, as heat: a column for each look, a row for each range of time.

import { duration, el, fill, table } from "./elements.js";
import { heat } from "./charts.js";
import { KEPT } from "./metrics.js";

export function latency({ state }) {
  const canvas = el("canvas", { class: "heat", role: "img", id: "heat" });
  const last = el("div", {});

  function update() {
    const { heat: columns, bounds, times } = state.series;
    const names = bounds.map((bound) => (bound === Infinity ? "more" : `≤ ${duration(bound)}`));
    heat(canvas, columns, names, KEPT);
    const sums = names.map((_, row) => columns.reduce((sum, counts) => sum + counts[row], 0));
    const all = sums.reduce((sum, one) => sum + one, 0);
    const span = times.length > 1 ? Math.round(times.at(-1) - times[0]) : 0;
    const words = `${all} requests in ${span} s, by the time they took`;
    canvas.setAttribute("aria-label", words);
    const rows = names.map((name, row) => [name, sums[row], all ? `${((100 * sums[row]) / all).toFixed(1)} %` : "–"]);
    fill(last, el("h3", {}, words), table("Requests by time", ["Took", "Requests", "Share"], rows.filter(([, number]) => number > 0)));
  }

  return { id: "latency", title: "Latency", element: el("div", { class: "scrolled" }, canvas, last), update };
}
