// What may be reached, how many routes lead there, what the router counts of connections, and how breakers stand: everything that it tells
// with the name of a destination is shown there.

import { card, count, el, fill, foreign, list, table } from "./elements.js";
import { Table } from "./table.js";

export function destinations({ state, details, go }) {
  const columns = [
    { title: "Destination", width: "minmax(8rem, 1.5fr)", cell: (row) => foreign(row.name), sort: (row) => row.name },
    { title: "Hosts", width: "minmax(10rem, 3fr)", cell: (row) => foreign((row.hosts ?? []).join(", ")), sort: (row) => (row.hosts ?? []).join() },
    { title: "Addresses", width: "minmax(8rem, 2fr)", cell: (row) => foreign((row.addresses ?? []).join(", ") || "public ones"), sort: (row) => (row.addresses ?? []).join() },
    { title: "Speaks", width: "7rem", cell: (row) => foreign(`${(row.schemes ?? []).join(", ")} ${row.protocol ?? ""}`), sort: (row) => row.protocol ?? "" },
    { title: "Routes", width: "5rem", number: true, cell: (row) => count(row.routes), sort: (row) => row.routes },
    { title: "Req/s", width: "5rem", number: true, live: true, cell: (row) => count(rate(row)), sort: rate },
    { title: "Breaker", width: "6rem", live: true, cell: (row) => stands(row), sort: (row) => breaker(row) },
    { title: "HTTP/2", width: "6rem", number: true, live: true, cell: (row) => `${count(sessions(row))} / ${count(streams(row))}`, sort: streams },
    { title: "In use", width: "5rem", number: true, live: true, cell: (row) => count(connections(row, "active")), sort: (row) => connections(row, "active") },
    { title: "Kept", width: "5rem", number: true, live: true, cell: (row) => count(connections(row, "idle")), sort: (row) => connections(row, "idle") },
    { title: "Reused", width: "6rem", number: true, live: true, cell: (row) => share(reused(row)), sort: (row) => reused(row) ?? -1 },
  ];
  const cards = el("div", { class: "cards" });
  const grid = new Table({ label: "Destinations", columns, key: (row) => row.name, open });
  let rows = [];

  // What leads to several places is counted with all of them.
  function rate(row) {
    return row.ids.reduce((sum, id) => sum + (state.series.routes.get(id)?.rate ?? 0), 0);
  }

  // Connections of this router with it; with HTTP/2 one carries many requests.
  function connections(row, condition) {
    return state.series.value("postern_http_client_open_connections", { destination: row.name, http_connection_state: condition }) ?? 0;
  }

  // How its breaker stands: -1 where none is asked for, else 0 closed, 1 half-open, 2 open. What is only tried out refuses nobody.
  function breaker(row, mode = "enforce") {
    return state.series.value("postern_destination_breaker_state", { destination: row.name, mode }) ?? -1;
  }

  function stands(row) {
    const words = ["closed", "half-open", "open"];
    const enforced = breaker(row);
    const tried = breaker(row, "shadow");
    if (enforced < 0) return tried < 0 ? "–" : `${words[tried]} (shadow)`;
    return el("span", { class: enforced > 0 ? "bad" : "" }, words[enforced]);
  }

  // Connections that speak HTTP/2, and what they carry.
  function sessions(row) {
    return state.series.value("postern_destination_sessions", { destination: row.name }) ?? 0;
  }

  function streams(row) {
    return state.series.value("postern_destination_streams", { destination: row.name }) ?? 0;
  }

  // Of all attempts since this router began, those that went over a kept connection; nothing before the first.
  function reused(row) {
    const attempts = state.series.value("postern_destination_attempts_total", { destination: row.name }) ?? 0;
    return attempts > 0 ? (state.series.value("postern_destination_reused_total", { destination: row.name }) ?? 0) / attempts : undefined;
  }

  const share = (part) => (part === undefined ? "–" : `${Math.round(part * 100)} %`);

  function loaded() {
    const ids = new Map();
    for (const { id, targets } of state.routes) {
      for (const name of new Set(targets.map((one) => one.via))) ids.set(name, [...(ids.get(name) ?? []), id]);
    }
    const known = new Set(state.destinations.map((one) => one.name));
    const others = [...ids.keys()].filter((name) => !known.has(name)).map((name) => ({ name }));
    rows = [...state.destinations, ...others].map((one) => ({ ...one, ids: ids.get(one.name) ?? [], routes: ids.get(one.name)?.length ?? 0 }));
    grid.rows = rows;
  }

  function update() {
    const value = (name) => count(state.series.value(name) ?? 0);
    fill(cards,
      card("Kept connections", value("postern_destination_connections_idle"), "idle, over all destinations"),
      card("Dialled", value("postern_dials_total"), "sockets opened since this router began"),
      card("Not dialled", value("postern_dials_refused_total"), "addresses outside of what the boundary allows"),
      card("WebSockets", value("postern_tunnels"), "open now"));
    grid.refresh();
  }

  function open(row) {
    const counted = state.series.labelled("destination", row.name);
    details(row.name,
      list([
        ["hosts", foreign((row.hosts ?? []).join(", "))], ["schemes", (row.schemes ?? []).join(", ")], ["ports", (row.ports ?? []).join(", ")],
        ["addresses", foreign((row.addresses ?? []).join(", "))], ["dialled as", row.dial && foreign(row.dial)], ["protocol", row.protocol],
        ["routes", count(row.routes)], ["requests a second", count(rate(row))],
        ["connections", `${count(connections(row, "active"))} in use, ${count(connections(row, "idle"))} kept`], ["over kept ones", share(reused(row))],
        ["of them HTTP/2", `${count(sessions(row))} with ${count(streams(row))} streams`], ["breaker", stands(row)],
      ]),
      counted.length > 0 && [el("h3", {}, "Counted"), table("Counted", ["What", "Value"], counted.map(([name, number]) => [foreign(name), count(number)]))],
      el("p", {}, el("button", { type: "button", onclick: () => go("routes", row.name) }, "Routes that lead there")));
  }

  return { id: "destinations", title: "Destinations", element: [cards, grid.element], loaded, update, focus: () => grid.focus(), badge: () => rows.length || "" };
}
