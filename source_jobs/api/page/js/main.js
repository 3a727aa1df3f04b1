// The page: which view is shown, what all of them share, keys, and the light at the top.

import { get, token } from "./api.js";
import { refresh } from "./catalogue.js";
import { ask, closeMenu, h } from "./dom.js";
import { known } from "./language.js";
import { load, save } from "./store.js";
import { AgentsView, QueriesView } from "./views/lists.js";
import { QueryView } from "./views/query.js";
import { TraceView } from "./views/trace.js";

const ALIVE_MS = 3_000;
const KEYS = [
  ["Ctrl Enter", "run the query"], ["Ctrl Space", "complete"], ["p", "pause, or go on"], ["s", "stop"], ["e", "edit the query"],
  ["/", "filter the rows"], ["↑ ↓ Enter", "walk through rows, open one as JSON"], ["Esc", "close, or leave the editor"],
  ["1 2 3 4", "query, trace, agents, queries"], ["t", "dark or light"], ["?", "these keys"],
];

const go = (view, parameters = {}) => {
  const text = new URLSearchParams(parameters).toString();
  location.hash = `#/${view}${text ? `?${text}` : ""}`;
};

const make = { query: () => new QueryView({ go }), trace: () => new TraceView({ go }), agents: () => new AgentsView(), queries: () => new QueriesView({ go }) };
const views = {};
let current = null;

function route() {
  const [, name, parameters] = /^#\/(\w+)(?:\?(.*))?$/.exec(location.hash) ?? [null, "query", ""];
  const chosen = name in make ? name : "query";
  closeMenu();
  if (current !== views[chosen]) current?.hide();
  current = views[chosen] ??= make[chosen]();
  const main = document.getElementById("main");
  if (main.firstChild !== current.element) main.replaceChildren(current.element);
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.view === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${chosen[0].toUpperCase()}${chosen.slice(1)} · Raven`;
  current.show(new URLSearchParams(parameters ?? ""));
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  for (const view of Object.values(views)) view.recolour();
}

function turnTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  save("theme", next);
  setTheme(next);
}

function showKeys() {
  ask("Keys", h("dl", {}, KEYS.flatMap(([keys, what]) => [h("dt", {}, keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, what)])), { no: "", yes: "Close" });
}

let askingToken = false;

async function askToken(reason) {
  if (askingToken) return;
  askingToken = true;
  const input = h("input", { type: "password", placeholder: "mql_…", autocomplete: "off", "aria-label": "Token" });
  const given = await ask("A token, please", h("div", {}, h("p", {}, `${reason ?? "This server wants one."} `, "Make one with ", h("code", {}, "mql token create NAME"), ". It is kept until this tab is closed."), input), { yes: "Go on", read: () => input.value.trim() });
  askingToken = false;
  if (given) {
    token.set(given);
    location.reload();
  }
}

async function watch() {
  const link = document.getElementById("link");
  let state = "down", text = "no server";
  try {
    const response = await fetch("readyz", { cache: "no-store" });
    [state, text] = response.ok ? ["up", "connected"] : ["down", "no source job"];
  } catch { /* nobody answers */ }
  link.dataset.state = state;
  link.lastElementChild.textContent = text;
  setTimeout(watch, ALIVE_MS);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea, .cm-editor");
  if (event.key === "Escape") {
    if (closeMenu()) return;
    if (typing && !event.defaultPrevented) { typing.blur?.(); document.activeElement?.blur(); document.getElementById("main").focus(); return; }
  }
  if (typing) return;
  const view = Object.keys(make)[Number(event.key) - 1];
  if (view) go(view);
  else if (event.key === "t") turnTheme();
  else if (event.key === "?") showKeys();
  else current?.key(event);
}

async function start() {
  const light = matchMedia("(prefers-color-scheme: light)");
  setTheme(load("theme", null) ?? (light.matches ? "light" : "dark"));
  light.addEventListener("change", () => { if (!load("theme", null)) setTheme(light.matches ? "light" : "dark"); });
  document.getElementById("theme").addEventListener("click", turnTheme);
  document.getElementById("help").addEventListener("click", showKeys);
  document.getElementById("token").addEventListener("click", () => askToken("This is the token of others."));
  addEventListener("mql-token", (event) => askToken(event.detail));
  addEventListener("keydown", key);
  addEventListener("hashchange", route);
  addEventListener("pagehide", () => { for (const view of Object.values(views)) view.leave(); });
  watch();
  try {
    const told = await get("api/language");
    told.keywords.forEach((word) => known.keywords.add(word));
    told.functions.forEach((name) => known.functions.add(name));
    told.scopes.forEach((scope) => known.scopes.add(scope));
    document.getElementById("token").hidden = token.get() === null;
    document.getElementById("token").textContent = told.caller;
  } catch { /* asked for a token, or nobody answers: the page still opens */ }
  refresh();
  route();
}

start();
