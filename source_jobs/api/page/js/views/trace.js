// The trace view: one user, device or request through all streams, as one timeline.

import { ApiError, follow } from "../api.js";
import { catalogue } from "../catalogue.js";
import { copy, h, toast } from "../dom.js";
import { KINDS, guess } from "../guess.js";
import { Inspector } from "../results/inspector.js";
import { clock } from "../results/table.js";
import { Timeline } from "../results/timeline.js";
import { valueMenu } from "../where.js";

const DRAW_MS = 200;
const STATES = { idle: "Ready", starting: "Starting …", running: "Following", reconnecting: "Reconnecting …", over: "Ended", failed: "Failed" };

export class TraceView {
  constructor({ go }) {
    this.go = go;
    this.known = new Map();
    this.choices = new Map();
    this.inspector = new Inspector({ value: (anchor, path, value) => valueMenu(anchor, null, value, { trace: (text) => { this.value.value = text; this.start(); } }) });
    this.timeline = new Timeline({ open: (entry) => this.inspector.open(`${entry.service ?? entry.stream} at ${clock(entry.time_ms)}`, entry.event) });
    this.timeline.heard = (following) => { this.live.checked = following; };
    this.build();
    catalogue.listeners.add(() => this.streams());
  }

  build() {
    this.value = h("input", { placeholder: "u123", "aria-label": "The value to follow", spellcheck: false, autocapitalize: "off" });
    this.kind = h("select", { "aria-label": "What it is", onchange: () => { this.choices.clear(); this.streams(true); } }, Object.keys(KINDS).map((name) => h("option", { value: name }, name)));
    this.startButton = h("button", { class: "strong", type: "submit" }, "▶ Follow");
    this.stopButton = h("button", { type: "button", disabled: true, onclick: () => this.stop() }, "■ Stop");
    this.live = h("input", { type: "checkbox", checked: true, "aria-label": "Follow live", onchange: () => this.timeline.follow(this.live.checked) });
    this.list = h("div", { class: "streams" });
    this.state = h("span", { class: "state", data: { state: "idle" } }, STATES.idle);
    this.chips = h("span", { class: "status", "aria-label": "Completeness of the trace" });
    const form = h("form", { class: "follow", onsubmit: (event) => { event.preventDefault(); this.start(); } },
      h("label", {}, "Follow a", this.kind), h("label", { class: "value" }, "whose value is", this.value),
      this.startButton, this.stopButton, h("label", { class: "live" }, this.live, "live"),
      h("button", { type: "button", class: "quiet", onclick: () => this.share() }, "Share"), this.list);
    this.hint = h("div", { class: "empty" }, h("h2", {}, "One timeline across services"),
      "Enter a user, a device or a request, and choose the property that holds it in each stream. Its events appear here in the order of their times, as they happen.");
    this.element = h("div", { class: "trace view" }, form, h("div", { class: "status" }, this.state, this.chips), this.timeline.lanes,
      h("div", { class: "split" }, this.timeline.element, this.inspector.element));
    this.timeline.element.append(this.hint);
    this.streams();
  }

  show(parameters) {
    const given = parameters.get("value");
    if (parameters.get("kind") in KINDS) this.kind.value = parameters.get("kind");
    this.streams();
    if (given !== null && given !== this.value.value) this.value.value = given;
    this.value.focus();
    this.timeline.refresh();
  }

  hide() {}

  // The streams there are, each with the property that is likeliest, or was chosen.
  streams(anew = false) {
    const shape = JSON.stringify(catalogue.streams.map((each) => [each.stream, each.fields.map((field) => field.path)]));
    if (shape === this.shape && !anew) return;
    this.shape = shape;
    if (!catalogue.streams.length) return void this.list.replaceChildren(h("span", { class: "chip" }, "no agent offers a stream yet"));
    this.list.replaceChildren(...catalogue.streams.map((stream) => {
      const before = this.choices.get(stream.stream);
      const likely = before?.path ?? guess(stream, this.kind.value);
      const paths = stream.fields.filter((field) => !field.kinds.every((kind) => kind === "object")).map((field) => field.path);
      const select = h("select", { "aria-label": `Property of ${stream.stream}` }, paths.map((path) => h("option", { value: path, selected: path === likely }, path)));
      const box = h("input", { type: "checkbox", checked: before ? before.on : likely !== null });
      const note = () => this.choices.set(stream.stream, { path: select.value, on: box.checked });
      select.addEventListener("change", () => { box.checked = true; note(); });
      box.addEventListener("change", note);
      const row = h("label", { class: "stream" }, box, stream.stream, select);
      row.chosen = () => (box.checked && select.value ? `${stream.stream}.${select.value}` : null);
      return row;
    }));
  }

  async start() {
    const value = this.value.value.trim();
    const chosen = [...this.list.children].map((row) => row.chosen?.()).filter(Boolean);
    if (!value) return this.value.focus();
    if (!chosen.length) return toast("Choose a stream, and the property to look at", "bad");
    this.stop();
    this.timeline.clear();
    this.inspector.close();
    this.known.clear();
    this.hint.hidden = true;
    this.count = 0;
    const stopping = (this.stopping = new AbortController());
    const mine = (act) => (data) => { if (this.stopping === stopping) { act(data); this.soon(); } };
    const parameters = new URLSearchParams(chosen.map((each) => ["follow", `${each}=${value}`]));
    this.tell("starting");
    let left = chosen.length;
    try {
      await follow(`api/trace?${parameters}`, {
        several: true,
        events: mine(({ events }) => { this.count += events.length; this.timeline.add(events); }),
        completeness: mine(({ stream, completeness }) => this.known.set(stream, completeness)),
        started: mine(({ warnings }) => warnings.forEach((warning) => toast(warning, "bad"))),
        gap: mine(({ stream }) => toast(`${stream}: some events are missing here`, "bad")),
        ended: mine(({ stream, reason, failed }) => { left--; if (failed) toast(`${stream}: ${reason}`, "bad"); if (!left) { this.tell("over"); stopping.abort(); } }),
        state: (name) => { if (this.stopping === stopping) this.tell(name); },
      }, stopping.signal);
      if (this.stopping === stopping) this.tell("over");
    } catch (error) {
      if (this.stopping !== stopping) return;
      this.tell("failed");
      toast(error instanceof ApiError ? error.message : "The server does not answer", "bad");
    }
  }

  stop() {
    this.stopping?.abort();
    if (this.stopping) this.tell("over");
    this.stopping = null;
  }

  soon() {
    this.waiting ??= setTimeout(() => requestAnimationFrame(() => { this.waiting = null; this.draw(); }), DRAW_MS);
  }

  draw() {
    this.timeline.refresh();
    const chips = [h("span", { class: "chip" }, `${(this.count ?? 0).toLocaleString("en")} events`)];
    for (const [stream, known] of this.known) {
      const lost = Object.entries(known.dropped).filter(([, count]) => count).map(([cause, count]) => `${count} dropped (${cause})`);
      const bad = known.missing.length > 0 || lost.length > 0 || known.transit > 0;
      const words = [`${stream}: ${known.reported} of ${known.expected} agents`, ...lost, ...known.missing.map((name) => `${name} missing`)];
      chips.push(h("span", { class: `chip ${bad ? "bad" : ""}` }, words.join(" · ")));
    }
    if (this.timeline.dropped) chips.push(h("span", { class: "chip" }, "only the newest are kept"));
    this.chips.replaceChildren(...chips);
  }

  tell(name) {
    this.state.dataset.state = name;
    this.state.textContent = STATES[name];
    this.stopButton.disabled = !["starting", "running", "reconnecting"].includes(name);
  }

  share() {
    const parameters = new URLSearchParams({ value: this.value.value, kind: this.kind.value });
    history.replaceState(null, "", `#/trace?${parameters}`);
    copy(location.href, "Link");
  }

  key(event) {
    if (event.key === "Escape") this.inspector.close();
    else if (event.key === "s") this.stop();
    else return;
    event.preventDefault();
  }

  leave() { this.stopping?.abort(); }

  recolour() { this.timeline.refresh(); }
}
