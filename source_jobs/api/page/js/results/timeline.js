// Events of several services in the order of their times: lanes above, one line each below.

import { h, visible } from "../dom.js";
import { shown } from "../json.js";
import { clock } from "./table.js";

const ROW = 28;
const MOST = 20_000;
const COLOURS = 12;
const LANE = 22;
const LEFT = 132;
const LEAST_MS = 10_000;

export class Timeline {
  constructor({ open }) {
    this.open = open;
    this.pool = [];
    this.body = h("div", { class: "body" });
    this.element = h("div", { class: "timeline", tabIndex: 0, role: "list", "aria-label": "Timeline" }, this.body);
    this.canvas = h("canvas", { role: "img", "aria-label": "Events by service and time" });
    this.lanes = h("div", { class: "lanes", hidden: true }, this.canvas);
    this.element.addEventListener("scroll", () => { this.following = this.isAtEnd(); this.draw(); this.heard?.(this.following); }, { passive: true });
    this.element.addEventListener("click", (event) => { const row = event.target.closest(".entry"); if (row) this.choose(row.entry); });
    this.element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => { this.draw(); this.paint(); }).observe(this.element);
    this.clear();
  }

  clear() {
    this.entries = [];
    this.services = new Map();
    this.following = true;
    this.chosen = null;
    this.dropped = 0;
    this.refresh();
  }

  // Entries come in order, but for those of slower services: each finds its place.
  add(events) {
    for (const entry of events) {
      const name = entry.service ?? entry.stream;
      if (!this.services.has(name)) this.services.set(name, this.services.size);
      let place = this.entries.length;
      while (place > 0 && this.entries[place - 1].time_ms > entry.time_ms) place--;
      if (place === this.entries.length) this.entries.push(entry);
      else this.entries.splice(place, 0, entry);
    }
    if (this.entries.length > MOST) {
      this.dropped += this.entries.length - MOST;
      this.entries.splice(0, this.entries.length - MOST);
    }
  }

  follow(on) {
    this.following = on;
    if (on) this.refresh();
  }

  refresh() {
    this.body.style.height = `${this.entries.length * ROW}px`;
    if (this.following) this.element.scrollTop = this.entries.length * ROW;
    this.draw(true);
    this.paint();
  }

  isAtEnd() { return this.element.scrollTop + this.element.clientHeight >= this.entries.length * ROW - ROW; }

  colour(entry) {
    const name = typeof entry === "string" ? entry : entry.service ?? entry.stream;
    return `var(--s${((this.services.get(name) ?? 0) % COLOURS) + 1})`;
  }

  draw(anew = false) {
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 4);
    const last = Math.min(this.entries.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW) + 4);
    const wanted = Math.max(0, last - first);
    while (this.pool.length < wanted) this.pool.push(this.makeRow());
    while (this.pool.length > wanted) this.pool.pop().row.remove();
    for (let place = first; place < last; place++) {
      const slot = this.pool[place % wanted];
      if (anew || slot.place !== place) this.fill(slot, place);
    }
  }

  makeRow() {
    const [at, delta, service, source, what] = ["at", "delta", "service", "source", "what"].map((name) => h("span", { class: name }));
    const row = h("div", { class: "entry", role: "listitem" }, at, delta, service, source, what);
    this.body.append(row);
    return { row, at, delta, service, source, what, place: -1 };
  }

  fill(slot, place) {
    const entry = this.entries[place], before = this.entries[place - 1];
    slot.place = place;
    slot.row.entry = entry;
    slot.row.style.transform = `translateY(${place * ROW}px)`;
    slot.row.style.borderLeftColor = this.colour(entry);
    slot.row.classList.toggle("chosen", entry === this.chosen);
    slot.at.textContent = clock(entry.time_ms);
    slot.delta.textContent = before ? since(entry.time_ms - before.time_ms) : "";
    slot.service.textContent = visible(entry.service ?? "");
    slot.service.style.color = this.colour(entry);
    slot.source.textContent = visible(entry.stream);
    slot.what.replaceChildren(...words(entry.event));
  }

  choose(entry) {
    this.chosen = entry;
    this.draw(true);
    this.open(entry);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.entries.length) return;
    event.preventDefault();
    const at = this.entries.indexOf(this.chosen);
    const place = Math.max(0, Math.min(this.entries.length - 1, at < 0 ? this.entries.length - 1 : at + step));
    const top = place * ROW;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top > this.element.scrollTop + this.element.clientHeight - 2 * ROW) this.element.scrollTop = top - this.element.clientHeight + 2 * ROW;
    this.choose(this.entries[place]);
  }

  // A lane for each service, a dot for each event, failures with a ring.
  paint() {
    const names = [...this.services.keys()].slice(0, 12);
    this.lanes.hidden = !names.length;
    if (!names.length) return;
    const width = this.lanes.clientWidth, height = names.length * LANE + 24;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.height = `${height}px`;
    const paint = this.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const css = (name) => style.getPropertyValue(name).trim();
    paint.scale(scale, scale);
    paint.font = "12px system-ui, sans-serif";
    paint.textBaseline = "middle";
    const to = this.entries.at(-1).time_ms, from = Math.min(this.entries[0].time_ms, to - LEAST_MS);
    const x = (ms) => LEFT + ((ms - from) / (to - from)) * (width - LEFT - 16);
    this.ticks(paint, from, to, x, width, height, css);
    names.forEach((name, i) => {
      const y = 8 + i * LANE + LANE / 2;
      paint.fillStyle = css(`--s${(i % COLOURS) + 1}`);
      paint.fillText(name.length > 17 ? `${name.slice(0, 16)}…` : name, 10, y);
      paint.fillStyle = css("--line");
      paint.fillRect(LEFT, y, width - LEFT - 8, 1);
    });
    for (const entry of this.entries) {
      const lane = this.services.get(entry.service ?? entry.stream);
      if (lane >= names.length) continue;
      const [px, py] = [x(entry.time_ms), 8 + lane * LANE + LANE / 2];
      paint.beginPath();
      paint.arc(px, py, entry === this.chosen ? 6 : 4, 0, 2 * Math.PI);
      paint.fillStyle = css(`--s${(lane % COLOURS) + 1}`);
      paint.fill();
      if (isBad(entry.event)) {
        paint.strokeStyle = css("--bad");
        paint.lineWidth = 2;
        paint.beginPath();
        paint.arc(px, py, 7, 0, 2 * Math.PI);
        paint.stroke();
      }
    }
  }

  ticks(paint, from, to, x, width, height, css) {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].map((s) => s * 1000);
    const step = steps.find((each) => (to - from) / each <= (width - LEFT) / 80) ?? steps.at(-1);
    paint.textAlign = "center";
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      paint.fillStyle = css("--line-soft");
      paint.fillRect(x(at), 4, 1, height - 22);
      paint.fillStyle = css("--faint");
      paint.fillText(clock(at).slice(0, 8), x(at), height - 9);
    }
    paint.textAlign = "left";
  }
}

function since(ms) { return ms < 1000 ? `+${ms} ms` : ms < 60_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${Math.round(ms / 60_000)} min`; }

export function isBad(event) {
  const status = event.status ?? event.status_code ?? event.code;
  if (typeof status === "number") return status >= 500;
  return event.error !== undefined && event.error !== null && event.error !== false || /^(error|fatal|critical)$/i.test(String(event.level ?? ""));
}

function words(event) {
  const made = [];
  for (const [key, value] of Object.entries(event).slice(0, 14)) {
    const bad = key.startsWith("status") && typeof value === "number" && value >= 500;
    made.push(h("b", {}, `${key}=`), h("span", { class: bad ? "bad" : "" }, shown(value).slice(0, 120)), " ");
  }
  return made;
}
