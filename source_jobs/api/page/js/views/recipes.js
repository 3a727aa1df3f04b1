// Queries that were asked before, that are kept under a name, and that make sense at present.

import { catalogue } from "../catalogue.js";
import { ask, h, menu, toast } from "../dom.js";
import { property } from "../language.js";
import { history, recipes } from "../store.js";

const SHOWN = 40;
const LONGEST = 90;

// A menu of what was asked before; `use` takes the chosen one.
export function showHistory(anchor, use) {
  menu(anchor, history.all().slice(0, SHOWN).map(({ query, at }) => [cut(query), () => use(query), new Date(at).toLocaleString()]));
}

// A menu of saved recipes and examples, and to save the present query.
export function showRecipes(anchor, query, use) {
  const own = recipes.all();
  menu(anchor, [
    ["Save this query …", () => keep(query)],
    ...(own.length ? ["Saved", ...own.map((each) => [each.name, () => use(each.query), cut(each.query)]), ["Remove one …", () => forget(anchor)]] : []),
    "Examples", ...examples().map(([name, text]) => [name, () => use(text), cut(text)]),
  ]);
}

async function keep(query) {
  const name = h("input", { maxLength: 80, required: true, placeholder: "Errors by service", "aria-label": "Name" });
  const about = h("p", {}, "It is kept in this browser. Share copies a link that works in others.");
  const given = await ask("Save this query as a recipe", h("div", {}, about, name), { yes: "Save", read: () => name.value.trim() });
  if (!given) return;
  recipes.add(given, query);
  toast(`saved: ${given}`);
}

function forget(anchor) { menu(anchor, recipes.all().map(({ name }) => [`Remove ${name}`, () => recipes.remove(name)])); }

function cut(text) {
  const line = text.replace(/\s+/g, " ");
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}

// Queries that make sense for what agents publish at present.
function examples() {
  const made = [];
  for (const { stream, fields } of catalogue.streams.slice(0, 3)) {
    const name = property([stream]);
    const has = (wanted) => fields.find((field) => wanted.test(field.path) && !field.kinds.includes("object"));
    const status = has(/^(status|code|status_code)$/i), slow = has(/(latency|duration|elapsed|_ms$)/i), path = has(/^(path|route|url|endpoint|method)$/i);
    const by = "e['_agent']['service']";
    made.push([`Every event of ${stream}`, `select * from ${name}`]);
    made.push([`${stream} a second, by service`, `select count(*) as n, ${by} as service from ${name} window 1 group by ${by}`]);
    if (status) made.push([`Errors of ${stream}, by service`, `select count(*) as errors, ${by} as service from ${name} window 1 where ${status.path} >= 500 group by ${by}`]);
    if (slow) made.push([`Latency of ${stream}`, `select p50(${slow.path}) as p50, p95(${slow.path}) as p95, p99(${slow.path}) as p99 from ${name} window 1`]);
    if (path) made.push([`Busiest ${path.path} of ${stream}`, `select count(*) as n, ${path.path} from ${name} window 5 group by ${path.path} order by n desc limit 10`]);
  }
  return made;
}
