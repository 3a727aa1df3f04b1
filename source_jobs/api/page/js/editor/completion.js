// What may come next: streams after `from`, else fields of the query's streams, functions, words.

import { known, sources } from "../language.js";

const WORD = /[A-Za-z_][\w.:@]*$|e\[[^\]\s]*$/;

export function completionOf(catalogue) {
  return (context) => {
    const before = context.state.sliceDoc(0, context.pos);
    const match = WORD.exec(before);
    if (!match && !context.explicit) return null;
    if (isInString(before)) return null;
    const from = match ? context.pos - match[0].length : context.pos;
    const options = wantsStream(before.slice(0, from)) ? streams(catalogue()) : [
      ...fields(catalogue(), sources(context.state.doc.toString())), ...functions(), ...keywords(),
    ];
    return { from, options, validFor: /^[\w.:@[\]'"]*$/ };
  };
}

function wantsStream(before) {
  return /\b(?:from|join)\s+(?:[\w.:@'"]+\s*,\s*)*$/i.test(before);
}

function isInString(before) {
  const line = before.replace(/--[^\n]*\n/g, "").replace(/'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/g, "");
  return /\[['"][^\]]*$/.test(line) ? false : /['"]/.test(line) || /--[^\n]*$/.test(line);
}

function streams(catalogue) {
  return catalogue.map((each) => ({
    label: each.stream, type: "namespace", detail: `${each.rate.toFixed(0)}/s · ${each.services.join(", ")}`, boost: 10,
  }));
}

function fields(catalogue, asked) {
  const wanted = catalogue.filter((each) => !asked.length || asked.includes(each.stream));
  const found = new Map();
  for (const stream of wanted) {
    for (const field of stream.fields) found.set(field.path, field);
  }
  if (found.size) found.set("e['_agent']['service']", { path: "e['_agent']['service']", kinds: ["string"], example: "" });
  return [...found.values()].map((field) => ({
    label: field.path, type: "property", detail: field.kinds.join(" | "), info: field.example ? `such as ${field.example}` : undefined, boost: 5,
  }));
}

function functions() {
  return [...known.functions].map((name) => ({ label: name.toLowerCase(), apply: `${name.toLowerCase()}(`, type: "function", detail: "aggregate", boost: 1 }));
}

function keywords() {
  return [...known.keywords].map((word) => ({ label: word, type: "keyword" }));
}
