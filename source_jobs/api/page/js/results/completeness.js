// How complete the answer is, always in sight: who reported, what was seen, what is missing.

import { h } from "../dom.js";

// Words for causes that need them; any other cause is shown by its name.
const CAUSES = {
  under_way: "under way (publish takes long)",
  transit: "lost on the way",
  late: "too late",
  no_time: "without a readable time",
  unseen: "published before the query ran in a new process",
  subscriber: "rows given up, this reader was slow",
};
const NAMED = 3;
// Times are good to this; windows of agents with a less certain clock are estimates.
const CLOCK_UNCERTAINTY_MAX_MS = 10;

export class Completeness {
  constructor() {
    this.element = h("span", { class: "status", role: "status", "aria-label": "Completeness of the answer" });
    this.clear();
  }

  clear() {
    this.latest = null;
    this.seen = 0;
    this.lost = new Map();
    this.sampledOut = 0;
    this.until = 0;
    this.missed = 0;
    this.gaps = 0;
    this.refused = [];
    this.lacked = new Set();
    this.rate = 1;
    this.clock = 0;
    this.share = 1;
    this.draw();
  }

  // Take what is known of a window or a second. Windows that overlap are counted once.
  add(known) {
    this.latest = known;
    this.rate = Math.min(this.rate, known.rate);
    this.refused = known.refused;
    this.clock = Math.max(this.clock, known.clock_ms);
    if (!known.partial) this.share = Math.min(this.share, known.share);
    for (const name of known.missing) this.lacked.add(name);
    const counted = known.start_ms >= this.until;
    if (counted) {
      this.until = known.end_ms;
      this.seen += known.seen + known.transit;
      const { budget, ...dropped } = known.dropped;
      this.sampledOut += budget; // the sample stands for them: they are not lost
      for (const [cause, count] of Object.entries(dropped)) this.lose(`dropped (${cause})`, count);
      this.lose(CAUSES.under_way, known.under_way);
      this.lose(CAUSES.transit, known.transit);
      this.lose(CAUSES.unseen, known.unseen);
    }
    for (const cause of ["late", "no_time", "subscriber"]) this.lose(CAUSES[cause], known[cause]);
  }

  lose(cause, count) { if (count) this.lost.set(cause, (this.lost.get(cause) ?? 0) + count); }

  gap(told) {
    this.gaps++;
    if (told.from_ms !== null && told.to_ms !== null) this.missed += told.to_ms - told.from_ms;
  }

  get kind() {
    const known = this.latest;
    if (!known) return "";
    if (!known.expected && !this.seen) return "no agents";
    if (!known.expected || this.lost.size || this.gaps || this.lacked.size || this.refused.length) return "lower bound";
    return this.rate < 1 || this.clock > CLOCK_UNCERTAINTY_MAX_MS ? "estimate" : "exact";
  }

  draw() {
    const known = this.latest;
    if (!known) {
      this.element.replaceChildren(h("span", { class: "badge", data: { kind: "" } }, "no answer yet"));
      return;
    }
    const kind = this.kind;
    const parts = [h("span", { class: "badge", data: { kind } , title: WORDS[kind] }, kind === "estimate" && this.rate < 1 ? `estimate from ${percent(this.rate)} of the events` : kind)];
    if (this.share < 1) parts.push(h("span", { class: "chip", title: "The least share of any window: agents that reported, and events that were kept" }, percent(this.share)));
    const short = known.reported < known.expected;
    parts.push(h("span", { class: `chip agents ${short ? "bad" : ""}` }, `${known.reported} of ${known.expected} agent${known.expected === 1 ? "" : "s"}`));
    parts.push(h("span", { class: "chip" }, `${this.seen.toLocaleString("en")} events seen`));
    if (known.missing.length) parts.push(h("span", { class: "chip bad", title: known.missing.join("\n") }, `${named(known.missing)} missing`));
    if (known.waiting) parts.push(h("span", { class: "chip warn", title: "These agents have the query, and begin it when its turn comes" }, `${known.waiting} yet to begin`));
    const earlier = [...this.lacked].filter((name) => !known.missing.includes(name));
    if (earlier.length) parts.push(h("span", { class: "chip warn", title: earlier.join("\n") }, `${named(earlier)} missing earlier`));
    const gone = known.gone.map((each) => each.name);
    if (gone.length) parts.push(h("span", { class: "chip warn", title: "Vanished without goodbye more than a minute ago, and expected no more" }, `gone: ${named(gone, known.gone_more)}`));
    if (this.clock > CLOCK_UNCERTAINTY_MAX_MS) parts.push(h("span", { class: "chip warn", title: "Events near the edge of a window may count in the one beside it" }, `clocks known to ${this.clock} ms`));
    if (this.refused.length) parts.push(h("span", { class: "chip bad", title: this.refused.join("\n") }, `refused by ${named(this.refused)}`));
    if (this.sampledOut) parts.push(h("span", { class: "chip", title: "Agents were over their budgets, and left these events out of their samples" }, `${this.sampledOut.toLocaleString("en")} dropped (budget)`));
    for (const [cause, count] of this.lost) parts.push(h("span", { class: "chip bad" }, `${count.toLocaleString("en")} ${cause}`));
    if (this.gaps) parts.push(h("span", { class: "chip warn" }, this.missed ? `${(this.missed / 1000).toFixed(1)} s of the answer missed` : `${this.gaps} gap${this.gaps === 1 ? "" : "s"}`));
    if (known.partial) parts.push(h("span", { class: "chip", title: "The query did not run for all of this window" }, "partial window"));
    if (known.early) parts.push(h("span", { class: "chip warn", title: "Closed without waiting any longer for those who are missing" }, "closed early"));
    this.element.replaceChildren(...parts);
  }
}

const WORDS = {
  exact: "Every event that was published is in the answer, or was left out by the query",
  "lower bound": "Something is missing, and the words beside say what",
  estimate: "Events were sampled, and counts and sums are scaled; or a clock is not certain enough to say in which window an event counts",
  "no agents": "Nobody was there to ask: nothing is known, which is not the same as no events",
};

// Rounded down: 99.99 % is not all. What stands for 0.283 is a little less, times 1,000.
function percent(part) { return `${Math.floor(part * 1000 + 1e-9) / 10}%`; }

function named(names, further = 0) {
  const more = Math.max(names.length - NAMED, 0) + further;
  return names.slice(0, NAMED).join(", ") + (more ? ` and ${more} more` : "");
}
