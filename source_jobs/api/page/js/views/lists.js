// Views that show what there is, asked again every other second: agents, and running queries.

import { ApiError, call, list } from "../api.js";
import { ask, h, toast } from "../dom.js";
import { known } from "../language.js";

const EVERY_MS = 2_000;

class ListView {
  constructor(title, columns) {
    this.sub = h("span", { class: "sub" });
    this.body = h("tbody");
    this.none = h("div", { class: "empty", hidden: true });
    this.table = h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { class: kind ?? "", scope: "col" }, name)))), this.body);
    this.element = h("div", { class: "page" }, h("header", {}, h("h1", {}, title), this.sub), h("div", { class: "scroll" }, this.table), this.none);
  }

  show() {
    this.shown = true;
    this.refresh();
  }

  hide() {
    this.shown = false;
    clearTimeout(this.timer);
  }

  async refresh() {
    clearTimeout(this.timer);
    try {
      if (!document.hidden) this.draw(await this.load());
    } catch (error) {
      this.sub.textContent = error instanceof ApiError ? error.message : "The server does not answer";
    }
    if (this.shown) this.timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  fill(rows, none) {
    this.body.replaceChildren(...rows);
    this.table.hidden = !rows.length;
    this.none.hidden = rows.length > 0;
    if (!rows.length) this.none.replaceChildren(...none);
  }

  key() {}
  leave() {}
  recolour() {}
}

const cell = (kind, ...children) => h("td", { class: kind }, ...children);
const pill = (kind, text, title = "") => h("span", { class: `pill ${kind}`, title }, text);

export class AgentsView extends ListView {
  constructor() {
    super("Agents", [["Service"], ["Host"], ["State"], ["Streams"], ["Lag", "number"], ["Clock", "number"], ["Dropped", "number"], ["Queries", "number"], ["Version"], ["Tags"]]);
  }

  async load() { return list("agents"); }

  draw(agents) {
    const there = agents.filter((agent) => !agent.gone).length;
    this.sub.textContent = `${there} connected${there < agents.length ? `, ${agents.length - there} gone` : ""}`;
    const sorted = [...agents].sort((a, b) => a.gone - b.gone || a.service.localeCompare(b.service) || a.host.localeCompare(b.host) || a.pid - b.pid);
    this.fill(sorted.map((agent) => h("tr", { class: agent.gone ? "gone" : "", data: { service: agent.service } },
      cell("", h("b", {}, agent.service)), cell("soft", `${agent.host} · ${agent.pid}`),
      cell("", agent.gone ? pill("bad", `gone for ${Math.round(agent.silent_ms / 1000)} s`) : pill("good", "connected")),
      cell("mono", agent.streams.join(", ")), cell("number", `${agent.lag_ms.toFixed(1)} ms`), cell("number", `${agent.offset_ms.toFixed(1)} ms`),
      cell("number", agent.dropped ? pill("bad", agent.dropped.toLocaleString("en")) : "0"), cell("number", String(agent.queries.length)),
      cell("soft", agent.version || "–"), cell("soft", Object.entries(agent.tags).map(([key, value]) => `${key}=${value}`).join(" ") || "–"))),
    [h("h2", {}, "No agents"), "Services appear here when their publish agent finds this source job: ", h("code", {}, "Agent(service=…, source_jobs=[…])")]);
  }
}

export class QueriesView extends ListView {
  constructor({ go }) {
    super("Queries", [["Nr", "number"], ["Query"], ["Asked by"], ["Runs in"], ["For", "number"], ["Rows", "number"], ["CPU in agents", "number"], ["Sent", "number"], [""]]);
    this.go = go;
  }

  async load() { return list("queries"); }

  draw(queries) {
    this.sub.textContent = `${queries.length} running`;
    const now = Date.now();
    this.fill(queries.map((query) => {
      const states = new Map();
      for (const agent of query.agents) states.set(agent.state, (states.get(agent.state) ?? 0) + 1);
      const cost = query.agents.reduce((sum, agent) => sum + (agent.cost?.spent_ns ?? 0), 0);
      const sent = query.agents.reduce((sum, agent) => sum + (agent.cost?.sent_bytes ?? 0), 0);
      return h("tr", { data: { query: String(query.query) } },
        cell("number soft", String(query.query)),
        cell("mono", h("a", { href: `#/query?${new URLSearchParams({ q: query.text })}`, title: "Open in the editor" }, query.text)),
        cell("soft", query.users.join(", ") + (query.subscribers > 1 ? ` · ${query.subscribers} readers` : "")),
        cell("", [...states].map(([state, count]) => pill(state === "runs" ? "good" : state === "refused" || state === "gone" ? "bad" : "warn", `${count} ${state}`))),
        cell("number", lasting(now - query.start_ms)), cell("number", query.rows.toLocaleString("en")),
        cell("number", `${(cost / 1e6).toFixed(1)} ms`), cell("number", bytes(sent)),
        cell("number", h("button", { class: "danger", onclick: () => this.cancel(query) }, "Cancel")));
    }), [h("h2", {}, "Nothing runs"), "Queries appear here while somebody asks them, from this page, from the command line or from a program."]);
  }

  async cancel(query) {
    const sure = await ask(`Cancel query ${query.query}?`, h("p", { class: "mono" }, query.text), { yes: "Cancel the query", no: "Let it run" });
    if (!sure) return;
    try {
      await call("DELETE", `api/queries/${known.scopes.has("admin") ? query.query : query.id}`);
      toast(`query ${query.query} is cancelled`);
    } catch (error) {
      toast(error.message, "bad");
    }
    this.refresh();
  }
}

function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function bytes(size) { return size < 1024 ? `${size} B` : size < 1 << 20 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / (1 << 20)).toFixed(1)} MiB`; }
