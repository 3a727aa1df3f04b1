// The rows of an answer: the newest ones, in order, filtered and sorted as the table wants them.

export const MOST_ROWS = 100_000;
const BOUNDS = new Set(["_window_start", "_window_end"]); // which the time column shows
const MOST_COLUMNS = 200;
const SLACK = 10_000;

export class Rows {
  constructor() { this.clear(); }

  clear() {
    this.all = [];
    this.total = 0;
    this.dropped = 0;
    this.columns = new Map();
    this.filter = "";
    this.sort = null;
    this.view = null;
    this.seen = 0;
  }

  // Take rows: each is { row, time } with time in ms, or null.
  add(entries) {
    for (const entry of entries) {
      for (const key in entry.row) if (!BOUNDS.has(key)) this.note(key, entry.row[key]);
      this.all.push(entry);
    }
    this.total += entries.length;
    if (this.all.length > MOST_ROWS + SLACK) {
      const gone = this.all.length - MOST_ROWS;
      this.all.splice(0, gone);
      this.dropped += gone;
      this.view = null;
    }
  }

  // Learn a column's kind from the first value that has one.
  note(name, value) {
    const known = this.columns.get(name);
    if (known?.kind || (!known && this.columns.size >= MOST_COLUMNS)) return;
    this.columns.set(name, { kind: kindOf(value) });
  }

  setFilter(text) { this.filter = text.toLowerCase(); this.view = null; }

  setSort(sort) { this.sort = sort; this.view = null; }

  get plain() { return !this.filter && !this.sort; }

  // How many rows the table has, and the one at a place; the newest is first unless sorted.
  get length() { return this.plain ? this.all.length : this.shown().length; }

  at(place) { return this.plain ? this.all[this.all.length - 1 - place] : this.shown()[place]; }

  shown() {
    if (this.view && this.seen === this.total) return this.view;
    if (this.view && !this.sort) {
      // Only the new rows have to be looked at; the newest come first.
      const fresh = this.all.slice(this.all.length - (this.total - this.seen)).filter((entry) => this.matches(entry)).reverse();
      this.view = fresh.length ? [...fresh, ...this.view] : this.view;
    } else {
      const matching = this.filter ? this.all.filter((entry) => this.matches(entry)) : [...this.all];
      matching.reverse();
      if (this.sort) matching.sort(this.order());
      this.view = matching;
    }
    this.seen = this.total;
    return this.view;
  }

  matches(entry) {
    if (!this.filter) return true;
    entry.text ??= Object.values(entry.row).map(textOf).join("\u0001").toLowerCase();
    return entry.text.includes(this.filter);
  }

  order() {
    const { name, down } = this.sort;
    const sign = down ? -1 : 1;
    const value = name === null ? (entry) => entry.time : (entry) => entry.row[name];
    return (a, b) => sign * compare(value(a), value(b));
  }
}

export function kindOf(value) {
  switch (typeof value) {
    case "number": case "bigint": return "number";
    case "object": return value === null ? "" : "nested";
    case "undefined": return "";
    default: return "text";
  }
}

const RANK = { undefined: 0, boolean: 1, number: 2, bigint: 2, string: 3, object: 4 };

// As MQL orders: null, false, true, numbers, texts, the rest.
export function compare(a, b) {
  const [left, right] = [a ?? undefined, b ?? undefined];
  const ranks = RANK[typeof left] - RANK[typeof right];
  if (ranks || left === undefined) return ranks;
  if (typeof left === "object") return 0;
  return left < right ? -1 : left > right ? 1 : 0;
}

function textOf(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value, (_k, v) => (typeof v === "bigint" ? String(v) : v)) : String(value);
}
