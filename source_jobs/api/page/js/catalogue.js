// What agents really publish: asked again now and then, shown at the side, known to the editor.

import { list } from "./api.js";
import { h } from "./dom.js";

const EVERY_MS = 5_000;
const SOON_MS = 1_000;

export const catalogue = { streams: [], listeners: new Set() };

let timer = null;

export async function refresh() {
  clearTimeout(timer);
  try {
    catalogue.streams = await list("streams");
    for (const listener of catalogue.listeners) listener();
  } catch { /* the light at the top tells */ }
  // Agents look at an event a second: what is new is known soon.
  const known = catalogue.streams.length > 0 && catalogue.streams.every((each) => each.fields.length);
  wait(known ? EVERY_MS : SOON_MS);
}

function wait(ms) { timer = setTimeout(() => (document.hidden ? wait(ms) : refresh()), ms); }

export class CatalogueList {
  // `insert(text)` puts a field into the query, `use(stream)` asks for a stream.
  constructor({ insert, use }) {
    this.insert = insert;
    this.use = use;
    this.list = h("div", {});
    this.element = h("aside", { class: "catalogue", "aria-label": "Streams and fields" },
      h("header", {}, h("h2", {}, "Streams"),
        h("button", { class: "quiet icon", title: "Look again", "aria-label": "Look again", onclick: refresh }, "↻"),
        h("button", { class: "quiet icon close", title: "Close", "aria-label": "Close", onclick: () => this.element.classList.remove("open") }, "×")),
      this.list);
    this.listener = () => this.draw();
    catalogue.listeners.add(this.listener);
    this.draw();
  }

  destroy() { catalogue.listeners.delete(this.listener); }

  draw() {
    const shape = JSON.stringify(catalogue.streams.map((each) => [each.stream, Math.round(each.rate), each.fields.map((f) => [f.path, f.kinds])]));
    if (shape === this.shape) return;
    this.shape = shape;
    const open = new Set([...this.list.querySelectorAll("details[open]")].map((each) => each.dataset.stream));
    const first = !this.list.querySelector("details");
    if (!catalogue.streams.length) {
      this.list.replaceChildren(h("p", { class: "empty" }, "No agent offers a stream yet. They appear here by themselves."));
      return;
    }
    this.list.replaceChildren(...catalogue.streams.map((stream, i) => h("details",
      { data: { stream: stream.stream }, open: open.has(stream.stream) || (first && i < 3) },
      h("summary", { title: `${stream.stream}: ${stream.services.join(", ")}`, ondblclick: () => this.use(stream.stream) },
        h("span", {}, stream.stream), h("small", {}, `${stream.rate.toFixed(0)}/s · ${stream.agents}`)),
      h("div", { class: "fields" }, stream.fields.map((field) => h("button",
        { class: "field", title: field.example ? `such as ${field.example}` : "", onclick: () => this.insert(field.path) },
        h("span", {}, field.path), h("small", {}, field.kinds.join(" ")))))))); 
  }
}
