// Every route: whose it is, what it demands, where it leads, how it fares.

import { count, duration, el, fill, foreign, json, list, table, tag, when } from "./elements.js";
import { Chart, spark } from "./charts.js";
import { Table } from "./table.js";

const KINDS = { served: "good", stale: "warn", held: "warn" };

/** A route as the table needs it; `search` is what a search looks in. */
export function prepare(route) {
  const holds = (kind) => (route.conditions ?? []).some((one) => one.type === kind && one.status === "True");
  const state = holds("Held") ? "held" : holds("Stale") ? "stale" : "served";
  const demanded = route.policies?.authentication;
  const ways = demanded?.any_of ?? [];
  const open = demanded === undefined || (demanded.mode ?? "enforce") !== "enforce" || ways.includes("none");
  const proof = route.policies === undefined ? "?" : ways.length ? ways.join(" or ") : "none";
  const mode = demanded?.mode && demanded.mode !== "enforce" ? ` (${demanded.mode})` : "";
  const targets = route.destinations ?? (route.targets ?? []).map((one) => ({ via: one.destination, url: "", weight: one.weight }));
  const leads = targets.map((one) => (one.url ? `${one.via} ${one.url}` : one.via)).join(", ");
  const worth = (route.conditions ?? []).filter((one) => one.status !== "True" || (one.type !== "Accepted" && one.type !== "ResolvedRefs"));
  const reasons = worth.map((one) => `${one.reason} ${one.message ?? ""}`).join(" ");
  const match = route.match ?? {};
  const words = [route.id, route.owner, state, open ? "open" : "", proof, leads, reasons, match.path, ...(match.hosts ?? []), ...(match.methods ?? [])];
  return { route, id: route.id, owner: route.owner, state, open, proof: proof + mode, leads, targets, worth, search: words.join(" ").toLowerCase() };
}

export function routes({ state, details, go }) {
  const rate = (row) => state.series.routes.get(row.id);
  const number = (title, of, shown) => ({
    title, width: "4.6rem", number: true, live: true, cell: (row) => shown(of(rate(row) ?? {})), sort: (row) => of(rate(row) ?? {}) ?? -1,
  });
  const percent = (share) => (share === undefined ? "–" : el("span", { class: share > 0 ? "bad" : "" }, `${(100 * share).toFixed(1)} %`));
  const always = [
    { title: "Route", width: "minmax(9rem, 3fr)", cell: (row) => foreign(row.id, { title: row.id }), sort: (row) => row.id },
    { title: "Owner", width: "minmax(5rem, 1fr)", cell: (row) => foreign(row.owner), sort: (row) => row.owner },
    { title: "State", width: "4.5rem", cell: (row) => tag(row.state, KINDS[row.state]), sort: (row) => row.state },
    { title: "Proof", width: "minmax(5rem, 1.2fr)", cell: (row) => (row.open ? el("span", { class: "warn" }, row.proof === "none" ? "open" : `${row.proof}, open`) : foreign(row.proof)), sort: (row) => row.proof },
    { title: "Leads to", width: "minmax(7rem, 2.2fr)", cell: (row) => foreign(row.leads, { title: row.leads }), sort: (row) => row.leads },
    number("Req/s", (seen) => seen.rate, count),
    { title: "Lately", width: "80px", cell: (row) => sparkOf(rate(row)) },
    number("5xx", (seen) => seen.errors, percent),
  ];
  const mean = [number("Mean", (seen) => seen.mean, duration)];
  const quantiles = ["p50", "p95", "p99"].map((name) => number(name, (seen) => seen[name], duration));
  let hasQuantiles = false;

  const grid = new Table({ label: "Routes", columns: [...always, ...mean], key: (row) => row.id, open });
  const search = el("input", { type: "search", id: "routes-search", placeholder: "id, owner, destination, reason …", "aria-label": "Search routes", oninput: filter, onkeydown: leave });
  const choice = el("select", { id: "routes-state", "aria-label": "State", onchange: filter },
    ["all", "served", "stale", "held", "open"].map((one) => el("option", { value: one }, one === "open" ? "open to anybody" : one)));
  const found = el("span", { class: "quiet", role: "status", "aria-live": "polite", id: "routes-found" });

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) => choice.value === "all" || (choice.value === "open" ? row.open : row.state === choice.value);
    const rows = state.routes.filter((row) => fits(row) && words.every((word) => row.search.includes(word)));
    grid.rows = rows;
    fill(found, `${rows.length} of ${state.routes.length}`);
  }

  function leave(event) {
    if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    grid.focus();
    grid.element.querySelector(".rows").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
  }

  function open(row) {
    const seen = rate(row) ?? {};
    const place = el("div", { class: "chart" }, el("h3", {}, "Requests a second"));
    const { route } = row;
    const host = (route.match?.hosts ?? [])[0] ?? state.routes.flatMap((one) => one.route.match?.hosts ?? [])[0] ?? "HOST";
    const path = route.match?.path ?? route.root ?? row.id.split("#")[0];
    const ask = () => go("explain", { method: (route.match?.methods ?? ["GET"])[0], url: `https://${host.replace("*", "name")}${path.replace(/\{[^}]*\}/g, "x")}` });
    details(row.id,
      list([
        ["owner", foreign(row.owner)], ["state", tag(row.state, KINDS[row.state])], ["proof", row.open ? `${row.proof}: open to anybody` : foreign(row.proof)],
        ["requests", `${count(seen.total ?? 0)} since this router began, ${count(seen.rate ?? 0)} a second`],
        ["time", seen.p50 === undefined ? seen.mean !== undefined && `mean ${duration(seen.mean)}` : `p50 ${duration(seen.p50)}, p95 ${duration(seen.p95)}, p99 ${duration(seen.p99)}`],
        ["version", route.origin?.version], ["held since generation", route.origin?.held_since], ["lease until", route.lease_until],
      ]),
      place,
      row.worth.length > 0 && [el("h3", {}, "Conditions"), conditions(row.worth)],
      el("h3", {}, "Leads to"),
      table("Destinations", ["Destination", "URL", "Host sent", "Weight"], row.targets.map((one) => [foreign(one.via), foreign(one.url), foreign(one.host ?? ""), one.weight])),
      [["Match", route.match], ["Rewrite", route.rewrite], ["Policies", route.policies]].filter(([, value]) => value && Object.keys(value).length)
        .map(([name, value]) => [el("h3", {}, name), json(value)]),
      el("p", {}, el("button", { type: "button", onclick: ask }, "Explain a request to it")));
    const sparks = seen.sparks ?? [];
    const now = Date.now() / 1000;
    const times = state.series.times.slice(-sparks.length);
    new Chart(place, ["requests"], count).update(times.length === sparks.length ? times : sparks.map((_, index) => now - (sparks.length - index) * 2), sparks);
  }

  function loaded() {
    filter();
    performance.mark("routes");
  }

  function prepared(words) {
    [search.value, choice.value] = [words, "all"];
    filter();
  }

  function update() {
    if (state.series.hasQuantiles !== hasQuantiles) {
      hasQuantiles = state.series.hasQuantiles;
      grid.columns = [...always, ...(hasQuantiles ? quantiles : mean)];
    }
    grid.refresh();
  }

  const element = [el("div", { class: "tools" }, search, choice, found), grid.element];
  return { id: "routes", title: "Routes", element, update, loaded, prepare: prepared, focus: () => grid.focus(), badge: () => state.routes.length || "" };
}

/** Conditions as a table, worst first. */
export function conditions(all) {
  return table("Conditions", ["What", "Status", "Reason", "At", "Message", "Since"], all.map((one) => [
    one.type, one.status, tag(one.reason, one.status === "True" && one.type === "Accepted" ? "good" : "warn"), foreign(one.at ?? ""), foreign(one.message ?? ""), when(one.since),
  ]));
}

function sparkOf(seen) {
  if (!seen?.sparks?.some((one) => one > 0)) return "";
  const canvas = el("canvas", { class: "spark", "aria-hidden": "true" });
  spark(canvas, seen.sparks);
  return canvas;
}
