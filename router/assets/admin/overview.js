// At a glance: what is served, since when, from where, whether it is well, and how busy it is.

import { age, card, count, duration, el, fill, foreign, many, table, tag, when } from "./elements.js";
import { Chart } from "./charts.js";

/** From here on nobody should be calm about the configuration's age; operations are told at a day. */
const OLD_SECONDS = 86400;

export function overview({ state, go }) {
  const banners = el("div", { role: "alert" });
  const cards = el("div", { class: "cards" });
  const sources = el("div", {});
  const places = ["Requests a second", "Time of a request"].map((title) => {
    const place = el("div", { class: "chart" }, el("h3", {}, title));
    return [place, title];
  });
  const rates = new Chart(places[0][0], ["all", "refused by the router", "5xx"], count);
  const times = new Chart(places[1][0], ["p50", "p95", "p99"], duration);
  let said = "";

  function update() {
    const { overview: seen, series } = state;
    if (!seen) return;
    // An alert is read aloud whenever it is touched.
    const warnings = warningsOf(seen, state, go);
    const words = JSON.stringify(warnings.map(([kind, words]) => [kind, words]));
    if (words !== said) fill(banners, warnings.map(([kind, words, more]) => el("p", { class: `banner ${kind}` }, foreign(words), more)));
    said = words;
    fill(cards, cardsOf(seen, series));
    fill(sources, sourcesOf(seen));
    rates.update(series.times, series.rates, series.refusals, series.failures);
    const gaps = (values) => values.map((value) => (Number.isNaN(value) ? null : value));
    times.update(series.times, gaps(series.p50), gaps(series.p95), gaps(series.p99));
  }

  const element = el("div", { class: "scrolled" }, banners, cards, el("div", { class: "charts" }, places.map(([place]) => place)), sources);
  return { id: "overview", title: "Overview", element, update };
}

function warningsOf(seen, { routes }, go) {
  const { snapshot } = seen;
  const found = seen.missing.map((one) => ["bad", `Not ready: ${one}`]);
  const { rejected } = snapshot;
  if (rejected) found.push(["bad", `The file that lies there is not served (${rejected.reason}) since ${new Date(rejected.since * 1000).toISOString()}: ${rejected.message}`]);
  const most = seen.max_stale_seconds ?? OLD_SECONDS;
  if (snapshot.age_seconds > Math.min(most, OLD_SECONDS)) found.push(["warn", `The stores were last seen to agree with what is served ${age(snapshot.age_seconds)} ago.`]);
  const pinned = snapshot.sources?.pinned;
  if (pinned) found.push(["warn", `Routes are those of generation ${pinned.generation}, pinned since ${pinned.since}.`]);
  const held = routes.filter((route) => route.state === "held").length;
  const link = (to) => el("button", { type: "button", onclick: () => go(to) }, "show");
  if (held) found.push(["warn", `${many(held, "route")} held: the registrations are gone, which is not carried out until it is confirmed. `, link("refused")]);
  if (snapshot.quarantined?.length) found.push(["bad", `${many(snapshot.quarantined.length, "route")} of the file put aside by this router. `, link("refused")]);
  for (const note of snapshot.notes ?? []) found.push(["", note]);
  return found;
}

function cardsOf({ ready, snapshot, cores, version }, series) {
  const { generation, digest, counts, age_seconds: seconds } = snapshot;
  const last = (values) => values.at(-1);
  const failures = Object.values(snapshot.load_failures ?? {}).reduce((sum, one) => sum + one, 0);
  const share = last(series.rates) > 0 ? `${((100 * last(series.failures)) / last(series.rates)).toFixed(1)} % 5xx` : "";
  return [
    card("Readiness", ready ? "ready" : "not ready", `version ${version}, ${many(cores, "core")}`, ready ? "good" : "bad"),
    card("Generation", generation ?? "none", digest && el("code", { title: digest }, digest.slice(0, 19))),
    card("Agreed with the stores", `${age(seconds)} ago`, snapshot.loaded_at && `written ${when(snapshot.written_at)}, loaded ${when(snapshot.loaded_at)}`, seconds > OLD_SECONDS ? "warn" : ""),
    card("Routes", count(snapshot.routes), counts && `${many(counts.owners, "owner")}, ${many(counts.destinations, "destination")}`),
    card("Refused", count(counts?.refused ?? 0), counts && `${counts.stale} served in an older form`, counts?.refused ? "warn" : ""),
    card("Requests a second", count(last(series.rates)), share),
    card("Time of a request", duration(last(series.p50)), `p95 ${duration(last(series.p95))}, p99 ${duration(last(series.p99))}`),
    card("Under way", count(series.underWay), `${many(series.value("postern_connections"), "connection")}, ${many(series.value("postern_tunnels"), "WebSocket")}`),
    failures > 0 && card("Files not taken", count(failures), Object.entries(snapshot.load_failures).map(([reason, number]) => `${reason} ${number}`).join(", "), "warn"),
  ];
}

function sourcesOf({ snapshot: { sources } }) {
  if (!sources) return [];
  const row = (name, source) => [name, foreign(source.uri || "–"), foreign(source.version_id ?? source.version ?? source.etag ?? "–"), source.items ?? "–", source.read_at ? when(source.read_at) : "–"];
  return [
    el("h3", {}, "Sources"),
    table("Sources", ["Store", "Where", "Version", "Items", "Read at"], [row("boundary", sources.boundary), row("registrations", sources.registrations)]),
    sources.pinned && el("p", {}, tag("pinned", "warn"), ` generation ${sources.pinned.generation} since ${sources.pinned.since}`),
  ];
}
