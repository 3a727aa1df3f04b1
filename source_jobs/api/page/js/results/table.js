// A table that draws only what can be seen, so that its size does not matter.

import { h, visible } from "../dom.js";
import { shown } from "../json.js";
import { kindOf } from "./rows.js";

const ROW = 28;
const MARGIN = 6;
const LONGEST = 300;

export class Table {
  // `on.value(cell, column, value)` is for a click on a value, `on.open(entry)` for a row.
  constructor(rows, on) {
    this.rows = rows;
    this.on = on;
    this.names = [];
    this.widths = new Map();
    this.pool = [];
    this.chosen = null;
    this.total = 0;
    this.head = h("div", { class: "head", role: "row" });
    this.body = h("div", { class: "body", role: "rowgroup" });
    this.grid = h("div", { class: "grid", role: "grid", tabIndex: 0, "aria-label": "Rows" }, this.head, this.body);
    this.grid.addEventListener("scroll", () => this.draw(), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("pointerenter", (event) => this.hold(event.pointerType === "mouse"));
    this.body.addEventListener("pointerleave", () => this.hold(false));
    new ResizeObserver(() => this.draw()).observe(this.grid);
  }

  // While somebody points at a row it stays under the pointer; then the newest are shown again.
  hold(on) {
    if (on && !this.held) this.wasAtTop = this.grid.scrollTop === 0;
    if (!on && this.held && this.wasAtTop) this.grid.scrollTop = 0;
    this.held = on;
  }

  clear() {
    this.names = [];
    this.widths.clear();
    this.chosen = null;
    this.total = 0;
    this.head.replaceChildren();
    for (const each of this.pool) each.element.remove();
    this.pool = [];
    this.grid.scrollTop = 0;
    this.body.style.height = "0px";
  }

  // Rows have come, or the filter or order is another one.
  refresh() {
    const before = this.length ?? 0;
    this.length = this.rows.length;
    this.columns();
    this.body.style.height = `${this.length * ROW}px`;
    const came = this.rows.total - this.total;
    this.total = this.rows.total;
    // New rows come in at the top: who has scrolled down, or points at a row, stays where they are.
    if ((this.grid.scrollTop > 0 || this.held) && came && !this.rows.sort) this.grid.scrollTop += Math.max(0, this.length - before) * ROW;
    this.grid.setAttribute("aria-rowcount", String(this.length));
    this.draw(true);
  }

  columns() {
    const names = [...this.rows.columns.keys()];
    const timed = this.rows.all.length > 0 && this.rows.all[0].time !== null;
    const sort = JSON.stringify(this.rows.sort);
    const kinds = names.map((name) => this.rows.columns.get(name).kind).join();
    const key = `${timed} ${this.rows.windowed} ${sort} ${kinds} ${names.join("\u0001")}`;
    if (key === this.known && this.head.childElementCount) return;
    this.known = key;
    this.timed = timed;
    this.names = names;
    this.measure();
    this.head.replaceChildren(
      h("span", { class: "corner" }),
      ...(timed ? [this.title(null, this.rows.windowed ? "window" : "time", "text")] : []),
      ...names.map((name) => this.title(name, name, this.rows.columns.get(name).kind)));
    for (const each of this.pool) each.element.remove();
    this.pool = [];
  }

  // Widths by what the first rows hold.
  measure() {
    const some = [];
    for (let i = 0; i < Math.min(60, this.rows.length); i++) some.push(this.rows.at(i));
    for (const name of this.names) {
      const longest = Math.max(name.length + 3, ...some.map((entry) => Math.min(60, shown(entry.row[name]).length)));
      const wide = Math.min(440, Math.max(64, Math.round(longest * 7.7) + 18));
      this.widths.set(name, Math.max(wide, this.widths.get(name) ?? 0));
    }
  }

  title(name, text, kind) {
    const sort = this.rows.sort;
    const sorted = sort && sort.name === name ? (sort.down ? "descending" : "ascending") : "none";
    const made = h("button", {
      class: kind === "number" ? "number" : "", role: "columnheader", "aria-sort": sorted, title: name === null ? "local time: click to sort" : `${text}: click to sort`, tabIndex: -1,
      onclick: (event) => { event.stopPropagation(); this.turn(name); },
    }, h("span", {}, text), sorted === "none" ? "" : sort.down ? "↓" : "↑");
    made.style.width = `${name === null ? 110 : this.widths.get(name)}px`;
    return made;
  }

  turn(name) {
    const sort = this.rows.sort;
    const same = sort && sort.name === name;
    this.rows.setSort(!same ? { name, down: true } : sort.down ? { name, down: false } : null);
    this.refresh();
  }

  draw(anew = false) {
    const height = this.grid.clientHeight;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW) - MARGIN);
    const last = Math.min(this.length ?? 0, Math.ceil((this.grid.scrollTop + height) / ROW) + MARGIN);
    const wanted = Math.max(0, last - first);
    while (this.pool.length < wanted) this.pool.push(this.makeRow());
    while (this.pool.length > wanted) this.pool.pop().element.remove();
    for (let place = first; place < last; place++) {
      const slot = this.pool[place % wanted];
      const entry = this.rows.at(place);
      if (anew || slot.entry !== entry || slot.place !== place) this.fill(slot, entry, place);
    }
  }

  makeRow() {
    const open = h("button", { class: "open", tabIndex: -1, title: "The event as JSON" }, "{}");
    const cells = (this.timed ? [null, ...this.names] : this.names).map((name) => {
      const cell = h("span", { class: "cell", role: "gridcell" });
      cell.style.width = `${name === null ? 110 : this.widths.get(name)}px`;
      return cell;
    });
    const element = h("div", { class: "row", role: "row" }, open, ...cells);
    this.body.append(element);
    return { element, cells, entry: undefined, place: -1 };
  }

  fill(slot, entry, place) {
    const same = slot.entry === entry;
    slot.entry = entry;
    slot.place = place;
    slot.element.style.transform = `translateY(${place * ROW}px)`;
    slot.element.classList.toggle("chosen", entry === this.chosen);
    if (same) return;
    slot.element.entry = entry;
    let at = 0;
    if (this.timed) write(slot.cells[at++], clock(entry.time), "cell time");
    for (const name of this.names) {
      const value = entry.row[name];
      const kind = kindOf(value);
      const cell = slot.cells[at++];
      cell.column = name;
      write(cell, kind ? shown(value).slice(0, LONGEST) : value === null ? "null" : "", `cell ${kind || "none"}${kind && kind !== "nested" ? " value" : ""}`);
    }
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const { entry } = row;
    if (event.target.closest(".open")) return this.choose(entry, true);
    const cell = event.target.closest(".cell");
    if (cell?.column !== undefined && cell.classList.contains("value")) this.on.value(cell, cell.column, entry.row[cell.column]);
    else this.choose(entry, true);
  }

  choose(entry, opening) {
    this.chosen = entry;
    this.draw(true);
    if (opening) this.on.open(entry);
  }

  key(event) {
    if (event.target.closest(".head")) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 }[event.key];
    if (step) {
      event.preventDefault();
      const at = this.placeOf(this.chosen);
      const place = Math.max(0, Math.min((this.length ?? 0) - 1, at < 0 ? 0 : at + step));
      if (!this.length) return;
      this.reveal(place);
      this.choose(this.rows.at(place), this.on.isOpen());
    } else if (event.key === "Enter" && this.chosen) {
      event.preventDefault();
      this.on.open(this.chosen);
    }
  }

  placeOf(entry) {
    if (!entry) return -1;
    for (let place = 0; place < this.length; place++) if (this.rows.at(place) === entry) return place;
    return -1;
  }

  reveal(place) {
    const top = place * ROW, room = this.grid.clientHeight - ROW * 2;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + room) this.grid.scrollTop = top - room;
  }
}

function write(cell, given, kind) {
  const text = visible(given);
  if (cell.textContent !== text) cell.textContent = text;
  if (cell.className !== kind) cell.className = kind;
}

export function clock(ms) {
  if (ms === null || ms === undefined) return "";
  const date = new Date(ms);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
