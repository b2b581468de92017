// What is not as its owner asked: registrations that were refused, routes that are held or served in an older form, and
// routes that this router put aside; with the reason that each of them has.

import { el, fill, foreign, json, list, tag, when } from "./elements.js";
import { conditions } from "./routes.js";
import { Table } from "./table.js";

export function refused({ state, details }) {
  const columns = [
    { title: "Registration", width: "minmax(9rem, 2fr)", cell: (row) => foreign(row.id, { title: row.id }), sort: (row) => row.id },
    { title: "Owner", width: "minmax(5rem, 1fr)", cell: (row) => foreign(row.owner ?? "–"), sort: (row) => row.owner ?? "" },
    { title: "What", width: "6rem", cell: (row) => tag(row.what, row.what === "held" || row.what === "stale" ? "warn" : "bad"), sort: (row) => row.what },
    { title: "Reason", width: "minmax(10rem, 1.6fr)", cell: (row) => row.reason, sort: (row) => row.reason },
    { title: "Why, and what to do", width: "minmax(12rem, 5fr)", cell: (row) => foreign(row.message, { title: row.message }), sort: (row) => row.message },
    { title: "Since", width: "11.5rem", cell: (row) => when(row.since), sort: (row) => row.since ?? "" },
  ];
  const grid = new Table({ label: "Refused and held", columns, key: (row) => `${row.what} ${row.id}`, open });
  const search = el("input", { type: "search", id: "refused-search", placeholder: "id, owner, reason …", "aria-label": "Search refused and held", oninput: filter });
  const found = el("span", { class: "quiet", role: "status", "aria-live": "polite" });
  let all = [];

  function rowOf(one, what, owner) {
    const told = (one.conditions ?? []).filter((each) => each.status !== "True" || ["Held", "Stale", "Conflicted"].includes(each.type));
    const words = told.map((each) => [each.at, each.message].filter(Boolean).join(": "));
    return { one, id: one.id, owner, what, reason: told.map((each) => each.reason).join(", "), message: words.join("; "), since: told[0]?.since };
  }

  function loaded() {
    const aside = state.overview.snapshot.quarantined ?? [];
    all = [
      ...aside.map((one) => ({ one, id: one.id, what: "put aside", reason: "", message: one.why })),
      ...state.refused.map((one) => rowOf(one, "refused", one.owner)),
      ...state.routes.filter((row) => row.state !== "served").map((row) => rowOf(row.route, row.state, row.owner)),
    ];
    filter();
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => `${row.id} ${row.owner} ${row.what} ${row.reason} ${row.message}`.toLowerCase();
    const rows = all.filter((row) => words.every((word) => text(row).includes(word)));
    grid.rows = rows;
    fill(found, all.length === 0 ? "nothing is refused or held" : `${rows.length} of ${all.length}`);
  }

  function open(row) {
    details(row.id,
      list([["owner", row.owner && foreign(row.owner)], ["what", row.what], ["why", !row.one.conditions && foreign(row.message)]]),
      row.one.conditions && [el("h3", {}, "Conditions"), conditions(row.one.conditions)],
      row.one.registration !== undefined && [el("h3", {}, "The registration as it was found"), json(row.one.registration)]);
  }

  const element = [el("div", { class: "tools" }, search, found), grid.element];
  return { id: "refused", title: "Refused & held", element, loaded, update: () => grid.refresh(), focus: () => grid.focus(), badge: () => all.length || "" };
}
