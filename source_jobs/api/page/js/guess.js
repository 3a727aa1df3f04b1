// Which property of a stream holds a user, a device, a request …: guessed from names.

export const KINDS = {
  user: [/^(user|usr|customer|account|member|profile)_?id$/i, /^(user|customer|account|uid|member|login|email)$/i, /user|customer|account/i],
  device: [/^(device|esn|client|machine|browser)_?id$/i, /^(device|esn|imei|mac|udid)$/i, /device|esn/i],
  request: [/^(request|req|trace|correlation|span)_?id$/i, /^(request|trace|traceparent)$/i, /trace|request_?id|correlation/i],
  session: [/^session_?id$/i, /^(session|sid)$/i, /session/i],
  order: [/^(order|cart|payment|invoice|transaction|tx)_?id$/i, /^(order|cart|invoice|transaction)$/i, /order|cart|invoice/i],
  "any id": [/^id$/i, /_id$|Id$/, /id/i],
};

// The last name in a path: id of e['user']['id'] is "user_id" as well as "id".
function namesOf(path) {
  const steps = [...path.matchAll(/\['((?:\\.|[^'\\])*)'\]|^([^[]+)$/g)].map((match) => match[1] ?? match[2]);
  return steps.length > 1 ? [steps.slice(-2).join("_"), steps.at(-1)] : steps;
}

// The likeliest property of a stream, or null.
export function guess(stream, kind) {
  const plain = stream.fields.filter((field) => !field.kinds.every((each) => each === "object" || each === "list"));
  for (const pattern of KINDS[kind]) {
    const found = plain.find((field) => namesOf(field.path).some((name) => pattern.test(name)));
    if (found) return found.path;
  }
  return null;
}
