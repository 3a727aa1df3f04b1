// What can be done with a value that is shown: look for it, leave it out, follow it, copy it.

import { copy, menu } from "./dom.js";
import { shown } from "./json.js";
import { condition } from "./language.js";

const LONGEST = 60;

export function valueMenu(anchor, name, value, { add, trace }) {
  const items = [];
  const [is, not] = name === null ? [null, null] : [condition(name, value), condition(name, value, true)];
  if (is) items.push(["Add to where", () => add(is), cut(is)], ["Leave out", () => add(not), cut(not)]);
  if (trace && (typeof value === "string" || typeof value === "number" || typeof value === "bigint")) {
    items.push(["Trace this value", () => trace(String(value))]);
  }
  items.push(["Copy", () => copy(shown(value), "Value")]);
  menu(anchor, items);
}

function cut(text) { return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text; }
