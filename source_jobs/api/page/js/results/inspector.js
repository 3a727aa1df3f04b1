// One event as JSON; a click on a value adds it to the question.

import { copy, h } from "../dom.js";
import { write } from "../json.js";

export class Inspector {
  // `on.value(element, path, value)` is for a click on a value.
  constructor(on) {
    this.on = on;
    this.body = h("pre", { class: "json" });
    this.title = h("h3", {}, "Event");
    this.element = h("aside", { class: "inspector", hidden: true, "aria-label": "The event as JSON" },
      h("header", {}, this.title,
        h("button", { class: "quiet", onclick: () => copy(write(this.value), "JSON") }, "Copy"),
        h("button", { class: "quiet icon", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.close() }, "×")),
      this.body);
  }

  get isOpen() { return !this.element.hidden; }

  open(title, value) {
    this.value = value;
    this.title.textContent = title;
    this.body.replaceChildren(...parts(value, [], 0, this.on));
    this.element.hidden = false;
    this.element.scrollTop = 0;
  }

  close() {
    const was = this.isOpen;
    this.element.hidden = true;
    return was;
  }
}

function parts(value, path, depth, on) {
  const indent = "  ".repeat(depth + 1), end = "  ".repeat(depth);
  if (value !== null && typeof value === "object") {
    const list = Array.isArray(value);
    const inner = list ? value.map((each, i) => [i, each]) : Object.entries(value);
    if (!inner.length) return [list ? "[]" : "{}"];
    const lines = inner.flatMap(([key, each], i) => [
      indent, ...(list ? [] : [h("span", { class: "key" }, JSON.stringify(key)), ": "]),
      ...parts(each, [...path, key], depth + 1, on), i + 1 < inner.length ? ",\n" : "\n",
    ]);
    return [list ? "[\n" : "{\n", ...lines, end, list ? "]" : "}"];
  }
  const kind = typeof value === "string" ? "string" : typeof value === "number" || typeof value === "bigint" ? "number" : "word";
  const made = h("span", { class: kind, data: { path: path.join("\u0001") }, title: "Add to where", onclick: () => on.value(made, path, value) }, write(value));
  return [made];
}
