// MQL as the page needs it: names, literals, and where the clauses of a query stand.

const PLAIN = /^[A-Za-z_][A-Za-z0-9_.:@]*$/;
const CLAUSES = new Set(["from", "join", "window", "where", "group", "anomaly", "having", "order", "limit", "sample"]);

export const known = { keywords: new Set(), functions: new Set(), scopes: new Set() };

// A property as MQL writes it, from its path.
export function property(path) {
  if (path.length === 1 && PLAIN.test(path[0]) && !known.keywords.has(path[0].toLowerCase())) return path[0];
  return "e" + path.map((step) => (typeof step === "number" ? `[${step}]` : `[${quote(step)}]`)).join("");
}

export function quote(text) {
  return `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'").replace(/\n/g, "\\n")}'`;
}

// A condition that a property has a value; null where MQL cannot say it.
export function condition(name, value, not = false) {
  if (value === null || value === undefined) return `${name} is ${not ? "not " : ""}null`;
  const sign = not ? "!=" : "==";
  switch (typeof value) {
    case "string": return `${name} ${sign} ${quote(value)}`;
    case "number": case "bigint": case "boolean": return `${name} ${sign} ${value}`;
    default: return null;
  }
}

// The words of a query outside strings, comments and brackets: [text, start, end].
export function words(query) {
  const found = [];
  const token = /--[^\n]*|'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|\/(?:\\.|[^/\\\n])*\/|[()[\]{}]|\|\||&&|[^\s"',()[\]{}=!<>~;]+/g;
  let depth = 0, match;
  while ((match = token.exec(query))) {
    const text = match[0];
    if ("([{".includes(text)) depth++;
    else if (")]}".includes(text)) depth--;
    else if (depth === 0 && !/^(--|'|")/.test(text)) found.push([text.toLowerCase(), match.index, token.lastIndex]);
  }
  return found;
}

// The query with one more condition in its `where`.
export function withCondition(query, added) {
  const found = words(query);
  const at = found.findIndex(([word]) => word === "where");
  if (at < 0) {
    const trimmed = query.replace(/[\s;]+$/, "");
    return `${trimmed}${trimmed.includes("\n") ? "\n" : " "}where ${added}`;
  }
  const rest = found.slice(at + 1);
  const next = rest.find(([word]) => CLAUSES.has(word));
  const [, , start] = found[at];
  const end = next ? next[1] : query.replace(/[\s;]+$/, "").length;
  const old = query.slice(start, end);
  const either = rest.some(([word, place]) => place < end && (word === "or" || word === "||"));
  const kept = either ? `(${old.trim()})` : old.trim();
  return `${query.slice(0, start)} ${kept} and ${added}${next ? old.match(/\s*$/)[0] || " " : ""}${query.slice(end)}`;
}

// The streams after `from` and `join`, as far as a half-written query tells.
export function sources(query) {
  const match = /\bfrom\s+([^;]*)/i.exec(query);
  if (!match) return [];
  const until = match[1].split(/\b(?:window|where|group|anomaly|having|order|limit|sample|on)\b/i)[0];
  return until.split(/,|\bjoin\b/i).map((each) => each.trim().split(/\s+/)[0].replace(/^['"]|['"]$/g, "")).filter(Boolean);
}
