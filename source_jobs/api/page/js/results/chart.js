// Numbers by window: a line for each group, drawn by uPlot a few times a second.

import uPlot from "../../vendor/uplot.js";
import { h } from "../dom.js";
import { shown } from "../json.js";
import { clock } from "./table.js";

const MOST_WINDOWS = 600;
const MOST_SERIES = 12;
const MOST_GROUPS = 500;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];
const OWN = new Set(["_window_start", "_window_end"]);

export class Chart {
  constructor() {
    this.metric = h("select", { title: "What the lines show", "aria-label": "What the lines show", onchange: () => this.draw(true) });
    this.note = h("span", {});
    this.legend = h("div", { class: "legend", "aria-label": "Lines" });
    this.area = h("div", { class: "chart", role: "img", "aria-label": "Numbers by window" });
    this.element = h("section", { class: "chartbox", hidden: true }, h("header", {}, this.metric, h("span", { class: "spring" }), this.note), this.area, this.legend);
    this.clear();
    new ResizeObserver(() => this.fit()).observe(this.area);
  }

  clear() {
    this.windows = [];
    this.groups = new Map();
    this.metrics = [];
    this.more = 0;
    this.hidden = new Set();
    this.drop();
    this.element.hidden = true;
    this.metric.replaceChildren();
  }

  // Take a window's rows. `columns` says which values are events' own, and so name a group.
  add(startMs, rows, columns) {
    const last = this.windows.at(-1);
    const window = last?.start === startMs ? last : { start: startMs, values: new Map() };
    if (window !== last) this.windows.push(window);
    const named = new Set(columns.filter((column) => column.property !== null).map((column) => column.path[0]));
    for (const row of rows) {
      const labels = [];
      for (const key in row) {
        if (OWN.has(key)) continue;
        if (named.has(key)) labels.push(row[key] === null ? "null" : shown(row[key]));
        else if (typeof row[key] === "number" && !this.metrics.includes(key)) this.metrics.push(key);
      }
      const name = labels.join(" · ") || "all";
      if (!this.groups.has(name)) {
        if (this.groups.size >= MOST_GROUPS) { this.more++; continue; }
        this.groups.set(name, this.groups.size);
      }
      window.values.set(name, row);
    }
    if (this.windows.length > MOST_WINDOWS) this.windows.splice(0, this.windows.length - MOST_WINDOWS);
  }

  // A window that was not asked for all of its time would look like a drop.
  leaveOut(startMs) {
    if (this.windows.at(-1)?.start === startMs) this.windows.pop();
  }

  get any() { return this.metrics.length > 0 && this.windows.length > 0; }

  draw(anew = false) {
    if (!this.any) return;
    this.element.hidden = false;
    if (this.metric.childElementCount !== this.metrics.length) {
      const before = this.metric.value;
      this.metric.replaceChildren(...this.metrics.map((name) => h("option", { value: name }, name)));
      this.metric.value = this.metrics.includes(before) ? before : this.metrics[0];
    }
    const metric = this.metric.value;
    const names = this.largest(metric);
    const xs = this.windows.map((window) => window.start / 1000);
    const lines = names.map((name) => this.windows.map((window) => number(window.values.get(name)?.[metric])));
    const key = `${metric}\u0001${names.join("\u0001")}\u0001${document.documentElement.dataset.theme}`;
    if (anew || key !== this.key || !this.plot) {
      this.key = key;
      this.make(names, metric, [xs, ...lines]);
    } else this.plot.setData([xs, ...lines]);
    this.tell(names, lines);
    const left = this.groups.size - names.length + this.more;
    this.note.textContent = `${this.windows.length} windows${left > 0 ? ` · the largest ${names.length} of ${this.groups.size} groups` : ""}`;
  }

  // The groups with the most in the windows that are shown, in the order in which they came.
  largest(metric) {
    const sums = new Map();
    for (const window of this.windows) {
      for (const [name, row] of window.values) sums.set(name, (sums.get(name) ?? 0) + Math.abs(number(row[metric]) ?? 0));
    }
    return [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a)).slice(0, MOST_SERIES).sort((a, b) => this.groups.get(a) - this.groups.get(b));
  }

  colour(name) { return css(`--s${(this.groups.get(name) % MOST_SERIES) + 1}`); }

  make(names, metric, data) {
    this.drop();
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line-soft"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "11px system-ui" };
    this.plot = new uPlot({
      ...this.size(),
      padding: [10, 28, 0, 0],
      cursor: { y: false, points: { size: 6 } },
      legend: { show: false },
      scales: { y: { range: (_u, low, high) => [Math.min(0, low ?? 0), (high ?? 1) <= 0 ? 1 : high * 1.08] } },
      axes: [{ ...axis, space: 90, incrs: STEPS_S, values: (_u, ticks) => ticks.map((at) => clock(at * 1000).slice(0, 8)) }, { ...axis, size: 54, values: (_u, ticks) => ticks.map(short) }],
      series: [{}, ...names.map((name) => ({
        label: name, stroke: this.colour(name), width: 1.8, spanGaps: false, show: !this.hidden.has(name), points: { show: data[0].length < 3, size: 5 },
        fill: names.length === 1 ? `${this.colour(name)}22` : undefined,
      }))],
      hooks: { setCursor: [(plot) => this.tell(names, data.slice(1), plot.cursor.idx)] },
    }, data, this.area);
    this.area.setAttribute("aria-label", `${metric} by window, ${names.length} lines`);
  }

  tell(names, lines, at = null) {
    const place = at ?? this.windows.length - 1;
    this.legend.replaceChildren(...names.map((name, i) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = this.colour(name);
      const value = (this.plot?.data[i + 1] ?? lines[i])[place];
      return h("button", { class: this.hidden.has(name) ? "off" : "", title: name, onclick: () => this.toggle(name, i) },
        swatch, h("span", { class: "name" }, name), h("span", { class: "last" }, value === null || value === undefined ? "–" : short(value)));
    }));
  }

  toggle(name, place) {
    if (this.hidden.has(name)) this.hidden.delete(name);
    else this.hidden.add(name);
    this.plot?.setSeries(place + 1, { show: !this.hidden.has(name) });
    this.draw();
  }

  size() { return { width: Math.max(120, this.area.clientWidth), height: Math.max(100, this.area.clientHeight) }; }

  fit() { if (this.plot && this.area.clientWidth) this.plot.setSize(this.size()); }

  drop() { this.plot?.destroy(); this.plot = null; this.key = null; }
}

function number(value) { return typeof value === "number" && Number.isFinite(value) ? value : null; }

function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${trim(value / 1e9)}G`;
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  return trim(value);
}

function trim(value) { return String(Number(value.toPrecision(4))); }
