// Elements, made without ever reading text as HTML.

export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined).map(visible));
  return made;
}

// A text with what controls, hides or turns round its neighbours spelled out; line breaks stay.
export function visible(child) {
  if (typeof child !== "string") return child;
  return child.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => c === "\n" || c === "\t" ? c
    : [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""));
}

export function toast(text, kind = "") {
  const box = document.getElementById("toasts");
  while (box.childElementCount >= 4) box.firstElementChild.remove();
  const made = h("div", { class: `toast ${kind}` }, text);
  box.append(made);
  setTimeout(() => made.remove(), kind === "bad" ? 9000 : 4000);
}

// A menu below an element: items are [label, act, detail], a string is a title, null a line.
export function menu(anchor, items, empty = "nothing here yet") {
  closeMenu();
  const box = h("div", { class: "menu", role: "menu" });
  for (const item of items) {
    if (item === null) box.append(h("hr"));
    else if (typeof item === "string") box.append(h("div", { class: "title" }, item));
    else {
      const [label, act, detail] = item;
      const button = h("button", { role: "menuitem", title: detail ?? "", onclick: () => { closeMenu(); act(); } }, label);
      if (detail) button.append(h("small", {}, detail));
      box.append(button);
    }
  }
  if (!items.length) box.append(h("div", { class: "none" }, empty));
  box.addEventListener("keydown", (event) => moveIn(box, event));
  document.body.append(box);
  place(box, anchor.getBoundingClientRect());
  const back = document.activeElement;
  open = { box, back };
  box.querySelector("button")?.focus({ preventScroll: true });
}

let open = null;

export function closeMenu() {
  if (!open) return false;
  const { box, back } = open;
  open = null;
  box.remove();
  back?.focus?.({ preventScroll: true });
  return true;
}

function place(box, around) {
  const { width, height } = box.getBoundingClientRect();
  const below = around.bottom + 4 + height <= innerHeight || around.top < height;
  box.style.left = `${Math.max(8, Math.min(around.left, innerWidth - width - 8))}px`;
  box.style.top = `${Math.max(8, below ? Math.min(around.bottom + 4, innerHeight - height - 8) : around.top - height - 4)}px`;
}

function moveIn(box, event) {
  const buttons = [...box.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  }
}

addEventListener("pointerdown", (event) => {
  if (open && !open.box.contains(event.target)) closeMenu();
});

// A dialog; resolves to what `read` gives on the strong button, else to null.
export function ask(title, body, { yes = "OK", read = () => true, no = "Cancel" } = {}) {
  return new Promise((resolve) => {
    let answer = null;
    const form = h("form", { method: "dialog" }, h("h2", {}, title), body,
      h("div", { class: "actions" },
        no ? h("button", { type: "button", onclick: () => box.close() }, no) : null,
        h("button", { class: "strong", type: "submit" }, yes)));
    form.addEventListener("submit", () => { answer = read(); });
    const box = h("dialog", {}, form);
    box.addEventListener("close", () => { box.remove(); resolve(answer); });
    document.body.append(box);
    box.showModal();
  });
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    await ask(`Copy ${what.toLowerCase()}`, h("input", { value: text, readOnly: true, onfocus: (e) => e.target.select() }), { no: "", yes: "Close" });
  }
}
