// The page: looks at the router again and again, and gives what it sees to the section in sight. It never sends anything
// but questions. What a section shows is its own affair.

import * as ask from "./ask.js";
import { age, el, fill, foreign, many, tag } from "./elements.js";
import { Series } from "./metrics.js";
import { overview } from "./overview.js";
import { prepare, routes } from "./routes.js";
import { refused } from "./refused.js";
import { changes } from "./changes.js";
import { explain } from "./explain.js";
import { recent } from "./recent.js";
import { destinations } from "./destinations.js";
import { latency } from "./latency.js";

/** Milliseconds between two looks; `?every=500` for another time. */
const ASKED = Number(new URLSearchParams(location.search).get("every"));
const EVERY = Math.max(200, ASKED || 2000);
/** Unless somebody asked for a time, a large router is looked at less often: for a twentieth of the time at most, … */
const SHARE = 20;
/** … but this often all the same. */
const LATEST = 30000;

const state = { series: new Series(), overview: undefined, routes: [], refused: [], destinations: [], reasons: {}, digest: undefined };
const byId = (id) => document.getElementById(id);

// Details of one thing, over the page.
const dialog = byId("details");
let whenClosed = () => {};
function details(title, ...body) {
  fill(byId("details-title"), foreign(title));
  fill(byId("details-body"), ...body);
  whenClosed = () => sections[current].focus?.();
  if (!dialog.open) dialog.showModal();
  byId("details-close").focus();
}
byId("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => whenClosed());

const page = { state, details, go };
const sections = [overview, routes, refused, changes, recent, destinations, latency, explain].map((make) => make(page));
let current = 0;

const links = sections.map(({ id, title }, index) => {
  const badge = el("span", { class: "quiet number" });
  return { badge, link: el("a", { href: `#${id}`, "aria-keyshortcuts": String(index + 1) }, title, badge) };
});
fill(byId("sections"), links.map(({ link }) => el("li", {}, link)));
fill(byId("main"), sections.map(({ id, title, element }) => el("section", { id: `section-${id}`, "aria-label": title }, el("h2", { class: "unseen" }, title), element)));

/** Goes to a section; `prepared` is for the section to make sense of. */
function go(id, prepared) {
  if (dialog.open) {
    whenClosed = () => {};
    dialog.close();
  }
  const index = sections.findIndex((section) => section.id === id);
  if (prepared !== undefined) sections[index]?.prepare?.(prepared);
  location.hash = id;
  show();
}

function show() {
  const wanted = sections.findIndex((section) => `#${section.id}` === location.hash);
  current = Math.max(0, wanted);
  sections.forEach(({ id }, index) => {
    byId(`section-${id}`).hidden = index !== current;
    if (index === current) links[index].link.setAttribute("aria-current", "page");
    else links[index].link.removeAttribute("aria-current");
  });
  document.title = `${sections[current].title} – Postern router`;
  sections[current].shown?.();
  render();
}

function render() {
  glance();
  sections.forEach((section, index) => fill(links[index].badge, section.badge?.() ?? ""));
  sections[current].update?.();
}

function glance() {
  const { overview: seen, lost } = state;
  const parts = [];
  if (lost) parts.push(tag("no answer", "bad"), foreign(lost));
  if (seen) {
    parts.push(tag(seen.ready ? "ready" : "not ready", seen.ready ? "good" : "bad"));
    const { generation, routes: served, age_seconds: seconds, rejected } = seen.snapshot;
    if (generation !== null) parts.push(el("span", {}, `generation ${generation}`), el("span", {}, many(served, "route")), el("span", {}, `agreed ${age(seconds)} ago`));
    if (rejected) parts.push(tag("a newer file is not served", "bad"));
    if (seen.snapshot.sources?.pinned) parts.push(tag(`pinned to ${seen.snapshot.sources.pinned.generation}`, "warn"));
  }
  const said = byId("glance");
  // Said aloud only when it changed, and the age alone is no news.
  const words = parts.map((part) => part.textContent).join(" ").replace(/agreed .* ago/, "");
  if (said.dataset.words === words) said.setAttribute("aria-live", "off");
  else said.setAttribute("aria-live", "polite");
  said.dataset.words = words;
  fill(said, parts);
}

async function look() {
  let took = 0;
  if (!document.hidden) {
    const began = performance.now();
    try {
      const [seen, metrics] = await Promise.all([ask.json("/api/overview"), ask.text("/metrics")]);
      state.overview = seen;
      state.series.take(metrics, Date.now() / 1000);
      took = performance.now() - began;
      if (seen.snapshot.digest !== state.digest) await load(seen.snapshot);
      state.lost = undefined;
    } catch (error) {
      state.lost = error.message;
    }
    render();
  }
  setTimeout(look, ASKED ? EVERY : Math.min(LATEST, Math.max(EVERY, SHARE * took)));
}

/** What stands in the file of a new generation; where no file holds it any more, what the router itself knows. */
async function load({ digest }) {
  const read = (path, name) => ask.json(path).then((said) => said[name]).catch(() => []);
  const full = await ask.json("/api/routes").catch(() => undefined);
  const known = full ?? (await ask.json("/routes"));
  [state.refused, state.destinations] = await Promise.all([read("/api/refused", "refused"), read("/api/destinations", "destinations")]);
  state.routes = known.routes.map(prepare);
  state.digest = digest;
  for (const section of sections) section.loaded?.();
}

// Light or dark: the system's choice until somebody makes another.
const dark = matchMedia("(prefers-color-scheme: dark)");
let theme;
try {
  theme = localStorage.getItem("theme");
} catch {
  theme = null;
}
function paint() {
  document.documentElement.dataset.theme = theme ?? (dark.matches ? "dark" : "light");
  render();
}
dark.addEventListener("change", paint);
byId("theme").addEventListener("click", () => {
  theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Where nothing may be kept it holds until the page is closed.
  }
  paint();
});

window.addEventListener("hashchange", show);
window.addEventListener("resize", render);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (typing && event.key === "Escape") return sections[current].focus?.();
  if (typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = byId(`section-${sections[current].id}`).querySelector("input[type=search]");
    if (search === null) go("routes");
    (search ?? document.querySelector("#section-routes input[type=search]")).focus();
  } else if (event.key >= "1" && event.key <= String(sections.length)) go(sections[Number(event.key) - 1].id);
  else return;
  event.preventDefault();
});

ask.json("/api/reasons").then((reasons) => Object.assign(state.reasons, reasons)).catch(() => {});
show();
paint();
look();
