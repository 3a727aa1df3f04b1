// Requests to the server that this page came from, and streams that are taken up where they broke.

import { parse } from "./json.js";

const TOKEN = "mql.token";
const SILENT_MS = 20_000;
const RETRY_MS = [300, 700, 1500, 3000];

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server said ${status}`);
    this.status = status;
    this.error = error ?? {};
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN)),
};

function headers(more = {}) {
  const known = token.get();
  return known ? { ...more, Authorization: `Bearer ${known}` } : more;
}

async function refused(response) {
  let error = null;
  try { error = parse(await response.text()).error; } catch { /* no JSON: the status says it */ }
  if (response.status === 401) dispatchEvent(new CustomEvent("mql-token", { detail: error?.message }));
  return new ApiError(response.status, error);
}

export async function call(method, path, body, { signal, keepalive } = {}) {
  const sent = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await fetch(path, {
    method, signal, keepalive, headers: headers(sent), body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await refused(response);
  const text = await response.text();
  return text ? parse(text) : null;
}

export const get = (path, options) => call("GET", path, undefined, options);

const PAGES_MAX = 10;

// All of a long list that is worth showing: `streams`, `agents` or `queries`, page by page.
export async function list(what) {
  const found = [];
  let after = "";
  for (let page = 0; page < PAGES_MAX; page++) {
    const told = await get(`api/${what}${after ? `?after=${encodeURIComponent(after)}` : ""}`);
    found.push(...told[what]);
    after = told.after ?? "";
    if (!after) break;
  }
  return found;
}

// Follow a stream of server-sent events until it has ended, or the signal says so. `on` has a
// function for each event, and `state` hears of `running` and `reconnecting`.
export async function follow(path, on, signal, { again = true } = {}) {
  let last = null, attempt = 0;
  while (!signal.aborted) {
    const watch = new AbortController();
    const stop = () => watch.abort();
    signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, SILENT_MS);
    try {
      const asked = { Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) };
      const response = await fetch(path, { headers: headers(asked), signal: watch.signal });
      if (!response.ok) throw await refused(response);
      if (response.status === 204) return;
      on.state?.("running");
      attempt = 0;
      for await (const event of eventsOf(response.body, () => { clearTimeout(timer); timer = setTimeout(stop, SILENT_MS); })) {
        if (event.id !== null) last = event.id;
        on[event.name]?.(parse(event.data), event.id);
        if (event.name === "ended" && !on.several) return;
      }
      if (!again) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      if (!again) throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
    on.state?.("reconnecting");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]));
  }
}

async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      rest += value;
      let end;
      let start = 0;
      while ((end = rest.indexOf("\n\n", start)) >= 0) {
        const event = eventOf(rest.slice(start, end));
        start = end + 2;
        if (event) yield event;
      }
      rest = rest.slice(start);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(block) {
  const event = { name: "message", id: null, data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon <= 0) continue;
    const value = line.slice(colon + 2);
    switch (line.slice(0, colon)) {
      case "event": event.name = value; break;
      case "id": event.id = value; break;
      case "data": event.data += value; break;
    }
  }
  return event.data ? event : null;
}
