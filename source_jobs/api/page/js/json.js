// JSON whose integers stay what they are: those beyond 2^53 become BigInt.

const LONG = /[0-9]{16}/;

export function parse(text) {
  if (!LONG.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context?.source;
    return source && /^-?[0-9]+$/.test(source) ? BigInt(source) : value;
  });
}

export function write(value) {
  switch (typeof value) {
    case "bigint": return value.toString();
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
      return `{${Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${write(inner)}`).join(",")}}`;
    case "undefined": return "null";
    default: return JSON.stringify(value);
  }
}

// A value on one line, as a cell shows it.
export function shown(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  return write(value);
}
