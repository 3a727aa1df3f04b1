// How MQL looks: its tokens, and their colours.

import { HighlightStyle, StreamLanguage, syntaxHighlighting, tags } from "../../vendor/codemirror.js";
import { known } from "../language.js";

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const WORD = /^[^\s"',*()[\]=!<>~;]+/;

export const mql = StreamLanguage.define({
  name: "mql",
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/^--.*/)) return "comment";
    if (stream.match(/^'(?:\\.|[^'\\])*'?/) || stream.match(/^"(?:\\.|[^"\\])*"?/)) return "string";
    if (stream.match(/^==~/)) { stream.eatSpace(); return stream.match(/^\/(?:\\.|[^/\\])*\/?/) ? "regexp" : "operator"; }
    if (stream.match(/^(?:==\+|==|!=|<>|<=|>=|&&|\|\||[=<>!~*])/)) return "operator";
    if (stream.match(/^[()[\],;{}]/)) return "punctuation";
    const word = stream.match(WORD);
    if (!word) { stream.next(); return null; }
    const text = word[0];
    if (NUMBER.test(text)) return "number";
    const lower = text.toLowerCase();
    if (known.functions.has(text.toUpperCase()) && stream.match(/^\s*\(/, false)) return "function";
    if (["true", "false", "null"].includes(lower)) return "atom";
    if (known.keywords.has(lower) || lower === "filter" || lower === "seconds" || lower === "asc" || lower === "desc") return "keyword";
    return "name";
  },
  tokenTable: {
    function: tags.function(tags.variableName), regexp: tags.regexp, atom: tags.atom, name: tags.name, punctuation: tags.punctuation,
  },
  languageData: { commentTokens: { line: "--" }, closeBrackets: { brackets: ["(", "[", "'", '"', "{"] } },
});

export const colours = syntaxHighlighting(HighlightStyle.define([
  { tag: tags.keyword, color: "var(--keyword)", fontWeight: "600" },
  { tag: tags.function(tags.variableName), color: "var(--function)" },
  { tag: [tags.string, tags.regexp], color: "var(--string)" },
  { tag: [tags.number, tags.atom], color: "var(--number)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
  { tag: [tags.operator, tags.punctuation], color: "var(--soft)" },
  { tag: tags.name, color: "var(--field)" },
]));
