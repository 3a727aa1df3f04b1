// A query that runs: asked, followed, paused, stopped. It knows no element of the page.

import { ApiError, call, follow } from "./api.js";

const MOST_HELD = 100_000;

export class Run {
  // `on` hears: state(name, detail), started(told), rows(list), gap(told), ended(told), failed(error).
  constructor(query, options, on) {
    this.query = query;
    this.options = options;
    this.on = on;
    this.state = "starting";
    this.held = [];
    this.heldRows = 0;
    this.paused = false;
    this.stopping = new AbortController();
  }

  get isOver() { return this.state === "over" || this.state === "failed"; }

  async start() {
    this.tell("starting");
    try {
      const told = await call("POST", "api/queries", { query: this.query, ...this.options });
      this.id = told.id;
      if (this.stopping.signal.aborted) return this.leave();
      this.on.started(told);
      await follow(`api/queries/${told.id}/events`, {
        rows: (data) => this.take(() => this.on.rows(data), data.rows.length),
        gap: (data) => this.take(() => this.on.gap(data), 0),
        ended: (data) => this.end(data),
        state: (name) => { if (!this.isOver) this.tell(this.paused && name === "running" ? "paused" : name); },
      }, this.stopping.signal);
      if (!this.isOver) this.end({ reason: "stopped", failed: false, completeness: null });
    } catch (error) {
      if (this.isOver) return;
      if (error instanceof ApiError && error.status === 404 && this.id) {
        this.end({ reason: "the server knows the query no longer", failed: true, completeness: null });
      } else {
        this.tell("failed");
        this.on.failed(error);
      }
    }
  }

  // While paused what comes is held, as far as there is room for it.
  take(act, rows) {
    if (!this.paused) return act();
    this.held.push({ act, rows });
    this.heldRows += rows;
    while (this.heldRows > MOST_HELD && this.held.length > 1) {
      const gone = this.held.shift();
      this.heldRows -= gone.rows;
      this.forgotten = (this.forgotten ?? 0) + gone.rows;
    }
    this.on.state("paused", this.heldRows);
  }

  pause() {
    if (this.isOver || this.paused) return;
    this.paused = true;
    this.tell("paused");
  }

  resume() {
    if (!this.paused) return;
    this.paused = false;
    const held = this.held;
    this.held = [];
    this.heldRows = 0;
    if (this.forgotten) this.on.gap({ from_ms: null, to_ms: null, pieces: 0, rows: this.forgotten });
    this.forgotten = 0;
    for (const each of held) each.act();
    this.tell(this.isOver ? this.state : "running");
  }

  stop() {
    if (this.isOver) return;
    this.resume();
    this.end({ reason: "stopped", failed: false, completeness: null });
    this.stopping.abort();
    this.leave();
  }

  // Tell the server that nobody reads on.
  leave() {
    if (this.id) call("DELETE", `api/queries/${this.id}`, undefined, { keepalive: true }).catch(() => {});
  }

  end(told) {
    this.resume();
    this.tell(told.failed ? "failed" : "over");
    this.on.ended(told);
  }

  tell(state) {
    this.state = state;
    this.on.state(state, this.heldRows);
  }
}
