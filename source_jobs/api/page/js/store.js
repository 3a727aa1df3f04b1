// What this browser remembers: history, recipes, choices. Without storage it remembers nothing.

const MOST_HISTORY = 100;
const MOST_RECIPES = 200;

export function load(name, otherwise) {
  try {
    const text = localStorage.getItem(`mql.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function save(name, value) {
  try { localStorage.setItem(`mql.${name}`, JSON.stringify(value)); } catch { /* full, or not allowed */ }
}

export const history = {
  all: () => load("history", []),
  add(query) {
    const others = history.all().filter((each) => each.query !== query);
    save("history", [{ query, at: Date.now() }, ...others].slice(0, MOST_HISTORY));
  },
};

export const recipes = {
  all: () => load("recipes", []),
  add(name, query) {
    const others = recipes.all().filter((each) => each.name !== name);
    save("recipes", [{ name, query }, ...others].slice(0, MOST_RECIPES));
  },
  remove: (name) => save("recipes", recipes.all().filter((each) => each.name !== name)),
};
