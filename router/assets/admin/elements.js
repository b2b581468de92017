// Elements out of names, attributes and text. Text only ever becomes a text node, so whatever a registration or a
// request says is shown and never acted upon. Must never know what is shown.

// Characters that show nothing, or turn what is beside them around: bidirectional controls, joiners, separators.
const HIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The text with everything made visible that would otherwise mislead. */
export function plain(text) {
  return String(text).replace(HIDDEN, (one) => `⟨U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** An element; children are elements, texts, or nothing. */
export function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : plain(value));
  }
  fill(element, ...children);
  return element;
}

/** Gives an element these children and no other. */
export function fill(element, ...children) {
  const nodes = children.flat(Infinity).filter((one) => one !== undefined && one !== null && one !== false);
  element.replaceChildren(...nodes.map((one) => (one instanceof Node ? one : document.createTextNode(plain(one)))));
}

/** A text by somebody else: its direction ends with it. */
export const foreign = (text, attributes) => el("bdi", attributes, text);

/** A word that says how things are. */
export const tag = (text, kind) => el("span", { class: `tag ${kind ?? ""}` }, text);

/** A heading and what stands below it, both small. */
export function card(title, value, more, kind) {
  return el("div", { class: "card" }, el("h3", {}, title), el("div", { class: `value ${kind ?? ""}` }, value),
    more && el("div", { class: "more" }, more));
}

/** Names and values; what has no value is left out. */
export function list(pairs) {
  const there = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return el("dl", {}, there.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A small table. */
export function table(caption, heads, rows) {
  return el("table", { class: "plain", "aria-label": caption },
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))))));
}

/** A value as JSON, for reading. */
export const json = (value) => el("pre", {}, JSON.stringify(value, null, 2));

/** A number that a person reads at a glance. */
export function count(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 10000) return Math.round(value).toLocaleString("en");
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
}

/** So many things, in words. */
export const many = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

/** An instant as a document has it (`2026-12-24T18:00:00Z`), for reading. */
export const when = (text) => String(text ?? "–").replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");

/** Seconds as milliseconds or more. */
export function duration(seconds) {
  if (seconds === undefined || seconds === null || Number.isNaN(seconds)) return "–";
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`;
  return `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
}

/** A long time in words of two units. */
export function age(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = units.findIndex(([, length]) => seconds >= length);
  if (at < 0) return "0 s";
  const [name, length] = units[at];
  const rest = units[at + 1];
  const whole = Math.floor(seconds / length);
  const left = rest ? Math.floor((seconds - whole * length) / rest[1]) : 0;
  return `${whole} ${name}${left ? ` ${left} ${rest[0]}` : ""}`;
}
