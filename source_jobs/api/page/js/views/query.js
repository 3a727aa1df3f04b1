// The query view: ask, watch the answer come, look closer, ask again.

import { ApiError } from "../api.js";
import { CatalogueList, catalogue, refresh } from "../catalogue.js";
import { copy, h, toast } from "../dom.js";
import { Editor } from "../editor/editor.js";
import { property, withCondition } from "../language.js";
import { Chart } from "../results/chart.js";
import { Completeness } from "../results/completeness.js";
import { Inspector } from "../results/inspector.js";
import { MOST_ROWS, Rows } from "../results/rows.js";
import { Table, clock } from "../results/table.js";
import { Run } from "../run.js";
import { history, load, save } from "../store.js";
import { valueMenu } from "../where.js";
import { showHistory, showRecipes } from "./recipes.js";

const DRAW_MS = 250;
const SORTED_MS = 1_000;
const LIVES = [["until stopped", ""], ["30 seconds", "30000"], ["5 minutes", "300000"], ["1 hour", "3600000"]];
const STATES = { idle: "Ready", starting: "Starting …", running: "Running", paused: "Paused", reconnecting: "Reconnecting …", over: "Ended", failed: "Failed" };

export class QueryView {
  constructor({ go }) {
    this.go = go;
    this.rows = new Rows();
    this.completeness = new Completeness();
    this.chart = new Chart();
    this.inspector = new Inspector({ value: (anchor, path, value) => this.value(anchor, this.nameOf(path), value) });
    this.table = new Table(this.rows, {
      value: (cell, column, value) => this.value(cell, this.nameOf([column]), value),
      open: (entry) => this.inspector.open(entry.time === null ? "Row" : `Event at ${clock(entry.time)}`, entry.row),
      isOpen: () => this.inspector.isOpen,
    });
    this.columns = [];
    this.run = null;
    this.build();
  }

  build() {
    const button = (label, title, act, extra = {}) => h("button", { title, onclick: act, ...extra }, label);
    this.runButton = button(["▶ Run ", h("kbd", {}, "Ctrl ⏎")], "Run the query (Ctrl+Enter)", () => this.start(), { class: "strong run" });
    this.pauseButton = button("❙❙ Pause", "Hold the rows back (key: p)", () => this.pause(), { disabled: true, class: "pause" });
    this.stopButton = button("■ Stop", "End the query (key: s)", () => this.stop(), { disabled: true, class: "stop" });
    this.life = h("select", { title: "When the query ends", "aria-label": "When the query ends" }, LIVES.map(([name, value]) => h("option", { value }, name)));
    this.state = h("span", { class: "state", data: { state: "idle" } }, STATES.idle);
    this.count = h("span", { class: "count" });
    this.wrong = h("div", { class: "wrong", role: "alert", hidden: true });
    this.filter = h("input", { type: "search", placeholder: "Filter these rows   /", "aria-label": "Filter these rows", oninput: () => { this.rows.setFilter(this.filter.value); this.table.refresh(); this.counts(); } });
    this.shownCount = h("span", {});
    const host = h("div", { class: "editor" });
    this.list = new CatalogueList({ insert: (text) => this.editor.insert(text), use: (stream) => this.use(`select * from ${property([stream])}`) });
    this.element = h("div", { class: "query view" }, this.list.element, h("div", { class: "work" },
      h("section", { class: "ask", "aria-label": "The query" }, host, this.wrong, h("div", { class: "tools" },
        this.runButton, this.pauseButton, this.stopButton, this.life, h("span", { class: "spring" }),
        button("Streams", "Streams and fields", () => this.streams(), { class: "quiet streams" }),
        button("History ▾", "What was asked before", (event) => showHistory(event.currentTarget, (text) => this.use(text)), { class: "quiet" }),
        button("Recipes ▾", "Saved queries, and examples", (event) => showRecipes(event.currentTarget, this.editor.text, (text) => this.use(text)), { class: "quiet" }),
        button("Share", "Copy a link to this query", () => this.share(), { class: "quiet share" }))),
      h("div", { class: "status" }, this.state, this.count, this.completeness.element),
      h("section", { class: "results", "aria-label": "The answer" }, this.chart.element,
        h("div", { class: "tablebox" },
          h("div", { class: "tablebar" }, this.filter, this.shownCount),
          h("div", { class: "split" }, this.table.grid, this.inspector.element)))));
    this.host = host;
  }

  // The view is shown, perhaps with a query out of the address.
  show(parameters) {
    const given = parameters.get("q");
    if (!this.editor) {
      this.editor = new Editor(this.host, {
        text: given ?? load("draft", "") ?? "", catalogue: () => catalogue.streams, run: () => this.start(),
        checked: (error) => this.tellError(error, true),
      });
      this.propose();
      catalogue.listeners.add(() => this.propose());
    } else if (given !== null) this.editor.text = given;
    const life = parameters.get("for");
    if (life !== null && LIVES.some(([, value]) => value === life)) this.life.value = life;
    this.table.refresh();
    this.editor.focus();
  }

  // An empty page begins with a query that has an answer.
  propose() {
    if (this.editor.text || this.proposed || !catalogue.streams.length) return;
    this.proposed = true;
    this.editor.text = `select * from ${property([catalogue.streams[0].stream])}`;
  }

  hide() { save("draft", this.editor?.text ?? ""); }

  async start() {
    const query = this.editor.text.trim();
    if (!query) return this.editor.focus();
    this.run?.stop();
    this.clear();
    history.add(query);
    save("draft", query);
    const options = this.life.value ? { ttl_ms: Number(this.life.value) } : {};
    const run = new Run(query, options, {
      state: (name, held) => { if (run === this.run) this.tellState(name, held); },
      started: (told) => { if (run === this.run) this.started(told); },
      rows: (data) => { if (run === this.run) this.take(data); },
      gap: (told) => { if (run === this.run) { this.completeness.gap(told); this.soon(); } },
      ended: (told) => { if (run === this.run) this.ended(told); },
      failed: (error) => { if (run === this.run) this.tellError(error instanceof ApiError ? error.error : { message: `The server does not answer (${error.message})` }); },
    });
    this.run = run;
    await run.start();
  }

  pause() {
    if (!this.run || this.run.isOver) return;
    if (this.run.paused) this.run.resume();
    else {
      this.run.pause();
      this.draw(); // what has come is shown, and then nothing moves
    }
  }

  stop() { this.run?.stop(); }

  clear() {
    this.rows.clear();
    this.rows.setFilter(this.filter.value);
    this.table.clear();
    this.chart.clear();
    this.completeness.clear();
    this.inspector.close();
    this.columns = [];
    this.rate = [];
    this.tellError(null);
    this.counts();
  }

  started(told) {
    this.columns = told.columns;
    this.rows.windowed = told.windowed;
    for (const column of told.columns) this.rows.note(column.path[0], undefined);
    for (const warning of told.warnings) toast(warning, "bad");
  }

  take(data) {
    const { rows, times_ms: times } = data;
    if (rows.length) {
      this.rows.add(rows.map((row, i) => ({ row, time: data.start_ms ?? times?.[i] ?? null })));
      if (data.start_ms !== null) this.chart.add(data.start_ms, rows, this.columns);
    }
    if (data.completeness?.partial) this.chart.leaveOut(data.start_ms);
    if (data.completeness) this.completeness.add(data.completeness);
    this.soon();
  }

  ended(told) {
    this.state.title = told.reason;
    if (told.failed) this.tellError({ message: told.reason });
    else if (told.reason !== "stopped") toast(`The query ended: ${told.reason}`);
    this.draw();
  }

  // Draw a few times a second, whatever comes.
  soon() {
    if (this.waiting) return;
    const pace = this.rows.sort ? SORTED_MS : DRAW_MS;
    this.waiting = setTimeout(() => requestAnimationFrame(() => this.draw()), pace);
  }

  draw() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.table.refresh();
    this.chart.draw();
    this.completeness.draw();
    this.counts();
  }

  counts() {
    const now = performance.now();
    this.rate = [...(this.rate ?? []), [now, this.rows.total]].filter(([at]) => now - at < 3_000);
    const [at, before] = this.rate[0];
    const pace = now - at > 500 ? ((this.rows.total - before) / (now - at)) * 1000 : 0;
    this.count.textContent = this.rows.total ? `${this.rows.total.toLocaleString("en")} rows${pace >= 0.5 && !this.run?.isOver ? ` · ${pace.toFixed(0)}/s` : ""}` : "";
    const parts = [];
    if (this.rows.filter) parts.push(`${this.rows.length.toLocaleString("en")} of ${this.rows.all.length.toLocaleString("en")} match`);
    if (this.rows.dropped) parts.push(`the newest ${MOST_ROWS.toLocaleString("en")} are kept`);
    this.shownCount.textContent = parts.join(" · ");
  }

  tellState(name, held) {
    this.state.dataset.state = name;
    this.state.textContent = name === "paused" && held ? `Paused, ${held.toLocaleString("en")} ${held === 1 ? "row waits" : "rows wait"}` : STATES[name];
    const over = !this.run || this.run.isOver;
    this.pauseButton.disabled = this.stopButton.disabled = over;
    this.pauseButton.replaceChildren(this.run?.paused ? "▶ Go on" : "❙❙ Pause");
  }

  // Say what is wrong; while typing only where the place of it is.
  tellError(error, quiet = false) {
    this.wrong.hidden = !error || (quiet && !this.editor.text.trim());
    if (!error) return;
    const place = error.line === undefined ? "" : `line ${error.line}, column ${error.column}: `;
    this.wrong.replaceChildren(h("span", {}, `${place}${error.message}`), h("span", { class: "hint" }, error.hint ?? ""));
    if (error.start !== undefined && !quiet) this.editor?.show(this.editor.text, error);
  }

  // What a value's column is called in `where`; null where it is no property of an event.
  nameOf(path) {
    const column = this.columns.find((each) => each.path.length <= path.length && each.path.every((step, i) => step === String(path[i])));
    if (column) {
      if (column.property === null) return null;
      const rest = path.slice(column.path.length);
      return rest.length ? inside(column.property, rest) : column.property;
    }
    return path[0] === "_window_start" || path[0] === "_window_end" ? null : property(path);
  }

  value(anchor, name, value) {
    valueMenu(anchor, name, value, {
      add: (text) => { this.editor.text = withCondition(this.editor.text, text); if (this.run && !this.run.isOver) this.start(); },
      trace: (text) => this.go("trace", { value: text }),
    });
  }

  // Beside the editor where there is room, over it where there is not.
  streams() {
    const fold = matchMedia("(max-width: 900px)").matches ? this.list.element.classList.toggle("open") : !this.element.classList.toggle("narrow");
    if (fold) refresh();
  }

  use(query) {
    this.editor.text = query;
    this.editor.focus();
  }

  share() {
    const parameters = new URLSearchParams({ q: this.editor.text });
    if (this.life.value) parameters.set("for", this.life.value);
    window.history.replaceState(null, "", `#/query?${parameters}`);
    copy(location.href, "Link");
  }

  key(event) {
    switch (event.key) {
      case "p": this.pause(); break;
      case "s": this.stop(); break;
      case "/": this.filter.focus(); break;
      case "e": this.editor.focus(); break;
      case "Escape": if (!this.inspector.close()) this.table.grid.focus(); break;
      default: return;
    }
    event.preventDefault();
  }

  leave() { if (this.run && !this.run.isOver) this.run.leave(); }

  recolour() { this.chart.draw(true); }
}

function inside(name, rest) {
  const head = name.startsWith("e[") ? name : property([name]).startsWith("e[") ? property([name]) : `e['${name}']`;
  return head + property(["x", ...rest]).slice("e['x']".length);
}
