// A table of many rows: only those in sight exist. Rows are chosen with the arrow keys, opened with Enter; heads sort.
// Must never know what a row is about.

import { el, fill } from "./elements.js";

const HEIGHT = 34;
/** Rows drawn above and below what is in sight. */
const SPARE = 8;
let tables = 0;

/** `columns`: `{title, width, cell(row), sort(row)?, number?}`; `key(row)` tells rows apart; `open(row)` shows one. */
export class Table {
  #columns;
  #key;
  #open;
  #name = `grid-${(tables += 1)}`;
  #rows = [];
  #sorted = [];
  #order;
  #chosen;
  #drawn = new Map();
  #head = el("div", { class: "row head", role: "row" });
  #space = el("div", {});
  #body;
  element;

  constructor({ label, columns, key, open }) {
    [this.#key, this.#open] = [key, open];
    this.#body = el("div", {
      class: "rows", role: "rowgroup", tabindex: "0", "aria-label": label,
      onscroll: () => this.#draw(), onkeydown: (event) => this.#press(event), onclick: (event) => this.#click(event),
    }, this.#space);
    this.element = el("div", { class: "grid", role: "grid", "aria-label": label }, this.#head, this.#body);
    new ResizeObserver(() => this.#draw()).observe(this.#body);
    this.columns = columns;
  }

  set columns(columns) {
    this.#columns = columns;
    this.element.style.setProperty("--columns", columns.map((one) => one.width).join(" "));
    this.element.setAttribute("aria-colcount", columns.length);
    this.#heads();
    this.#forget();
  }

  /** Shows these rows, in the order that was chosen; which row is chosen stays. */
  set rows(rows) {
    this.#rows = rows;
    this.#sort();
    this.#forget();
  }

  get length() {
    return this.#rows.length;
  }

  /** Draws what is in sight anew, because what the rows show has changed. */
  refresh() {
    if (this.#order?.column.live) this.#sort();
    this.#forget();
  }

  focus() {
    this.#body.focus();
  }

  #heads() {
    fill(this.#head, this.#columns.map((column) => {
      const chosen = this.#order?.column.title === column.title;
      const turn = this.#order?.down ? "descending" : "ascending";
      const mark = !chosen ? "" : this.#order.down ? " ↓" : " ↑";
      const cell = { role: "columnheader", class: column.number ? "number" : undefined, "aria-sort": chosen ? turn : undefined };
      const sorts = () => {
        this.#order = { column, down: chosen ? !this.#order.down : Boolean(column.number) };
        this.#heads();
        this.#sort();
        this.#forget();
      };
      return el("div", cell, column.sort ? el("button", { type: "button", onclick: sorts }, column.title + mark) : column.title);
    }));
  }

  #sort() {
    this.#sorted = this.#rows;
    if (this.#order) {
      const { column, down } = this.#order;
      const keyed = this.#rows.map((row) => [column.sort(row), row]);
      const turn = down ? -1 : 1;
      keyed.sort(([a], [b]) => turn * (a < b ? -1 : a > b ? 1 : 0));
      this.#sorted = keyed.map(([, row]) => row);
    }
    this.element.setAttribute("aria-rowcount", this.#rows.length + 1);
    this.#space.style.height = `${this.#sorted.length * HEIGHT}px`;
  }

  #forget() {
    for (const row of this.#drawn.values()) row.remove();
    this.#drawn.clear();
    this.#draw();
  }

  #draw() {
    const { scrollTop, clientHeight } = this.#body;
    if (clientHeight === 0) return;
    const first = Math.max(0, Math.floor(scrollTop / HEIGHT) - SPARE);
    const last = Math.min(this.#sorted.length, Math.ceil((scrollTop + clientHeight) / HEIGHT) + SPARE);
    for (const [index, element] of this.#drawn) {
      if (index < first || index >= last) {
        element.remove();
        this.#drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (this.#drawn.has(index)) continue;
      const element = this.#row(index);
      this.#drawn.set(index, element);
      this.#body.append(element);
    }
    const chosen = this.#sorted.findIndex((row) => this.#key(row) === this.#chosen);
    if (this.#drawn.has(chosen)) this.#body.setAttribute("aria-activedescendant", `${this.#name}-${chosen}`);
    else this.#body.removeAttribute("aria-activedescendant");
  }

  #row(index) {
    const row = this.#sorted[index];
    const chosen = this.#key(row) === this.#chosen;
    const cells = this.#columns.map((column) =>
      el("div", { role: "gridcell", class: column.number ? "number" : undefined }, column.cell(row)));
    const element = el("div", {
      class: "row", role: "row", id: `${this.#name}-${index}`, "aria-rowindex": index + 2, "aria-selected": String(chosen),
    }, cells);
    element.style.transform = `translateY(${index * HEIGHT}px)`;
    return element;
  }

  #click(event) {
    const found = [...this.#drawn].find(([, element]) => element.contains(event.target));
    if (!found) return;
    this.#choose(found[0]);
    this.#open(this.#sorted[found[0]]);
  }

  #choose(index) {
    const at = Math.max(0, Math.min(this.#sorted.length - 1, index));
    if (this.#sorted[at] === undefined) return;
    this.#chosen = this.#key(this.#sorted[at]);
    const { scrollTop, clientHeight } = this.#body;
    if (at * HEIGHT < scrollTop) this.#body.scrollTop = at * HEIGHT;
    if ((at + 1) * HEIGHT > scrollTop + clientHeight) this.#body.scrollTop = (at + 1) * HEIGHT - clientHeight;
    this.#forget();
  }

  #press(event) {
    const at = this.#sorted.findIndex((row) => this.#key(row) === this.#chosen);
    const page = Math.max(1, Math.floor(this.#body.clientHeight / HEIGHT) - 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.#sorted.length - 1 };
    if (event.key in steps) this.#choose(steps[event.key]);
    else if (event.key === "Enter" && at >= 0) this.#open(this.#sorted[at]);
    else return;
    event.preventDefault();
  }
}
