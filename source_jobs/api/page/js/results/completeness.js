// How complete the answer is, always in sight: who reported, what was seen, what is missing.

import { h } from "../dom.js";

// Words for causes that need them; any other cause is shown by its name.
const CAUSES = { transit: "lost on the way", late: "too late", subscriber: "rows given up, this reader was slow" };
const NAMED = 3;

export class Completeness {
  constructor() {
    this.element = h("span", { class: "status", role: "status", "aria-label": "Completeness of the answer" });
    this.clear();
  }

  clear() {
    this.latest = null;
    this.seen = 0;
    this.lost = new Map();
    this.until = 0;
    this.missed = 0;
    this.gaps = 0;
    this.refused = [];
    this.rate = 1;
    this.draw();
  }

  // Take what is known of a window or a second. Windows that overlap are counted once.
  add(known) {
    this.latest = known;
    this.rate = Math.min(this.rate, known.rate);
    this.refused = known.refused;
    const counted = known.start_ms >= this.until;
    if (counted) {
      this.until = known.end_ms;
      this.seen += known.seen + known.transit;
      for (const [cause, count] of Object.entries(known.dropped)) this.lose(`dropped (${cause})`, count);
      this.lose(CAUSES.transit, known.transit);
    }
    this.lose(CAUSES.late, known.late);
    this.lose(CAUSES.subscriber, known.subscriber);
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
    if (this.rate < 1) return "estimate";
    if (this.lost.size || this.gaps || known.missing.length || this.refused.length) return "lower bound";
    return "exact";
  }

  draw() {
    const known = this.latest;
    if (!known) {
      this.element.replaceChildren(h("span", { class: "badge", data: { kind: "" } }, "no answer yet"));
      return;
    }
    const kind = this.kind;
    const parts = [h("span", { class: "badge", data: { kind } , title: WORDS[kind] }, kind === "estimate" ? `estimate from ${share(this.rate)}` : kind)];
    const short = known.reported < known.expected;
    parts.push(h("span", { class: `chip agents ${short ? "bad" : ""}` }, `${known.reported} of ${known.expected} agent${known.expected === 1 ? "" : "s"}`));
    parts.push(h("span", { class: "chip" }, `${this.seen.toLocaleString("en")} events seen`));
    if (known.missing.length) parts.push(h("span", { class: "chip bad", title: known.missing.join("\n") }, `${named(known.missing)} missing`));
    if (this.refused.length) parts.push(h("span", { class: "chip bad", title: this.refused.join("\n") }, `refused by ${named(this.refused)}`));
    for (const [cause, count] of this.lost) parts.push(h("span", { class: "chip bad" }, `${count.toLocaleString("en")} ${cause}`));
    if (this.gaps) parts.push(h("span", { class: "chip warn" }, this.missed ? `${(this.missed / 1000).toFixed(1)} s of the answer missed` : `${this.gaps} gap${this.gaps === 1 ? "" : "s"}`));
    if (known.partial) parts.push(h("span", { class: "chip", title: "The query, or an agent, did not run for all of this window" }, "partial window"));
    if (known.early) parts.push(h("span", { class: "chip warn", title: "Closed without waiting any longer for those who are missing" }, "closed early"));
    this.element.replaceChildren(...parts);
  }
}

const WORDS = {
  exact: "Every event that was published is in the answer, or was left out by the query",
  "lower bound": "Something is missing, and the words beside say what",
  estimate: "Events were sampled; counts and sums are scaled",
  "no agents": "Nobody was there to ask: nothing is known, which is not the same as no events",
};

function share(rate) { return `${Number((rate * 100).toPrecision(3))}% of the events`; }

function named(names) {
  return names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ` and ${names.length - NAMED} more` : "");
}
