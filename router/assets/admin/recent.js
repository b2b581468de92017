// The last requests that were refused, failed or slow, as this router remembers them, and what their reasons mean.

import * as ask from "./ask.js";
import { el, fill, foreign, list, tag } from "./elements.js";
import { Table } from "./table.js";

/** Milliseconds between two looks. */
const EVERY = 2000;

export function recent({ state, details }) {
  const columns = [
    { title: "Time", width: "12.5rem", cell: (row) => row.time, sort: (row) => row.time },
    { title: "Status", width: "4rem", cell: (row) => tag(row.status, row.status >= 500 ? "bad" : row.status >= 400 ? "warn" : ""), sort: (row) => row.status },
    { title: "Reason", width: "minmax(9rem, 1.5fr)", cell: (row) => row.reason ?? (row.status < 400 ? "slow" : "the destination's"), sort: (row) => row.reason ?? "" },
    { title: "Request", width: "minmax(12rem, 4fr)", cell: (row) => foreign(line(row), { title: line(row) }), sort: (row) => row.path ?? "" },
    { title: "Route", width: "minmax(7rem, 2fr)", cell: (row) => foreign(row.route ?? "–"), sort: (row) => row.route ?? "" },
    { title: "Client", width: "minmax(6rem, 1fr)", cell: (row) => foreign(row.client ?? "–"), sort: (row) => row.client ?? "" },
    { title: "ms", width: "5rem", number: true, cell: (row) => row.duration_ms, sort: (row) => row.duration_ms },
  ];
  const grid = new Table({ label: "Recent requests", columns, key: (row) => row.request_id + row.time, open });
  const search = el("input", { type: "search", id: "recent-search", placeholder: "id, path, reason, route, client …", "aria-label": "Search requests", oninput: filter });
  const found = el("span", { class: "quiet", role: "status" });
  let all = [];
  let asked = 0;

  async function look() {
    if (Date.now() - asked < EVERY) return;
    asked = Date.now();
    const { requests } = await ask.json("/requests").catch(() => ({ requests: all.toReversed() }));
    all = requests.toReversed();
    filter();
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all.filter((row) => words.every((word) => JSON.stringify(row).toLowerCase().includes(word)));
    grid.rows = rows;
    fill(found, all.length === 0 ? "none was refused, failed or slow lately" : `${rows.length} of the last ${all.length}`);
  }

  function open(row) {
    const entry = state.reasons[row.reason];
    const phases = [["resolve_ms", "resolved"], ["connect_ms", "connected"], ["tls_ms", "TLS"], ["first_byte_ms", "first byte"]]
      .filter(([name]) => row[name] !== undefined).map(([name, word]) => `${word} ${row[name]} ms`);
    details(`${row.status} ${row.reason ?? ""}`,
      list([
        ["request", foreign(line(row))], ["at", `${row.time}, generation ${row.generation ?? "–"}, ${row.duration_ms} ms`], ["id", foreign(row.request_id)],
        ["client", foreign([row.client, row.principal, row.authenticated_by].filter(Boolean).join(", "))],
        ["route", row.route && foreign(row.owner ? `${row.route} of ${row.owner}` : row.route)],
        ["destination", row.destination && foreign([row.destination, ...phases].join(", "))],
        ["its word", row.destination_error && foreign(row.destination_error)], ["policy", row.policy && foreign(row.policy)],
        ["shadow", row.shadow_denied && foreign(row.shadow_denied)],
        ["would set", row.shadow_set && foreign(row.shadow_set)], ["found", row.detail && foreign(row.detail)],
        ["whose move", entry?.fault], ["cause", entry?.cause], ["do", entry?.remedy],
      ]));
  }

  const element = [el("div", { class: "tools" }, search, found), grid.element];
  return { id: "recent", title: "Recent", element, shown: look, update: look, focus: () => grid.focus() };
}

const line = (row) => `${row.method ?? "?"} ${row.host ?? ""}${row.path ?? ""}`;
