// The difference between any two generations that there are files of, in the words of routes.

import * as ask from "./ask.js";
import { el, fill, foreign, tag, when } from "./elements.js";

/** How many changed routes are shown at once. */
const SHOWN = 500;
const KINDS = { added: "good", changed: "", removed: "bad", refused: "bad", withdrawn: "" };

export function changes({ state }) {
  const pick = (id, label) => el("select", { id, "aria-label": label });
  const [from, to] = [pick("changes-from", "From generation"), pick("changes-to", "To generation")];
  const result = el("div", { class: "scrolled", id: "changes-result", role: "region", "aria-label": "What changed", tabindex: "0" });
  const button = el("button", { type: "submit" }, "Compare");
  const form = el("form", { class: "tools", onsubmit: compare }, el("label", {}, "From ", from), el("label", {}, "to ", to), button);
  let listed;

  async function shown() {
    if (listed === state.digest && listed !== undefined) return;
    const { generations } = await ask.json("/api/generations").catch(() => ({ generations: [] }));
    listed = state.digest;
    const kept = [from.value, to.value];
    const options = () => generations.map((one) => el("option", { value: one.generation }, `${one.generation} · ${when(one.written_at)}`));
    fill(from, options());
    fill(to, options());
    const known = (value) => generations.some((one) => String(one.generation) === value);
    if (known(kept[0]) && known(kept[1])) return ([from.value, to.value] = kept);
    if (generations.length > 1) from.value = generations[1].generation;
    if (generations.length > 0) to.value = generations[0].generation;
    if (generations.length > 1) await compare();
    else fill(result, el("p", { class: "quiet" }, "There are no files of earlier generations here: history/ beside the merged file would have them."));
  }

  async function compare(event) {
    event?.preventDefault();
    button.disabled = true;
    try {
      fill(result, told(await ask.json(`/api/diff?from=${encodeURIComponent(from.value)}&to=${encodeURIComponent(to.value)}`)));
    } catch (error) {
      fill(result, el("p", { class: "banner bad", role: "alert" }, error.message));
    }
    button.disabled = false;
  }

  const loaded = () => {
    if (location.hash === "#changes") shown();
  };
  return { id: "changes", title: "Changes", element: [form, result], shown, loaded, focus: () => result.focus() };
}

function told({ before, after, weaker, changes: { boundary, routes, unchanged } }) {
  const counts = Object.keys(KINDS).map((action) => [action, routes.filter((one) => one.action === action).length]);
  const summary = [...counts.filter(([, number]) => number > 0).map(([action, number]) => `${number} ${action}`), `${unchanged} as before`].join(", ");
  return [
    el("p", { role: "status" }, el("strong", {}, `Generation ${before.generation} → ${after.generation}: `), summary, " ", weaker && tag("something became weaker", "bad")),
    boundary.length > 0 && [el("h3", {}, "Boundary"), el("ul", { class: "changes" }, el("li", {}, el("ul", {}, boundary.map(aspect))))],
    routes.length > 0 && el("h3", {}, "Routes"),
    el("ul", { class: "changes" }, routes.slice(0, SHOWN).map(route)),
    routes.length > SHOWN && el("p", { class: "quiet" }, `${routes.length - SHOWN} more: postern-router diff ${before.generation} ${after.generation} lists them.`),
  ];
}

function route({ id, action, owner, aspects, reasons, ends_route: ends }) {
  return el("li", {},
    tag(action, KINDS[action]), " ", foreign(id, { class: "id" }), owner && [" ", el("span", { class: "quiet" }, foreign(owner))],
    ends && action !== "removed" && [" ", tag("its route ended", "bad")],
    (aspects || reasons) && el("ul", {}, (aspects ?? []).map(aspect),
      (reasons ?? []).map((one) => el("li", {}, tag(one.reason, "warn"), " ", foreign([one.at, one.message].filter(Boolean).join(": "))))));
}

function aspect({ what, from, to, weaker }) {
  // Targets are told by their URLs, but where those do not tell the difference.
  const short = targets(from) !== targets(to);
  return el("li", {}, el("strong", {}, foreign(what)), ": ", value(from, "del", short), " → ", value(to, "ins", short), " ",
    weaker && tag(weaker === "yes" ? "weaker" : "perhaps weaker", weaker === "yes" ? "bad" : "warn"));
}

function targets(one) {
  if (!Array.isArray(one) || one.length === 0 || !one.every((target) => typeof target?.url === "string")) return undefined;
  return one.map(({ url, weight }) => (one.length > 1 ? `${url} (${weight})` : url)).join(", ");
}

function value(one, name, short) {
  if (one === undefined || one === null) return el("span", { class: "quiet" }, "nothing");
  const text = typeof one === "string" ? one : (short && targets(one)) || JSON.stringify(one);
  return el(name, {}, foreign(text, { class: "code" }));
}
