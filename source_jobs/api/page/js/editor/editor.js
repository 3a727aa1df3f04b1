// The editor: CodeMirror with MQL, and the server's word on what is wrong, under the caret.

import {
  EditorState, EditorView, Prec, acceptCompletion, autocompletion, bracketMatching, closeBrackets, closeBracketsKeymap, closeCompletion,
  completionKeymap, completionStatus, defaultKeymap, drawSelection, highlightSpecialChars, history, historyKeymap, keymap, placeholder,
  setDiagnostics,
} from "../../vendor/codemirror.js";
import { call } from "../api.js";
import { completionOf } from "./completion.js";
import { colours, mql } from "./mode.js";

const CHECK_MS = 220;

const looks = EditorView.theme({
  "&": { backgroundColor: "transparent", fontSize: "14px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "10px 0", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 12px" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "var(--chosen)" },
  ".cm-placeholder": { color: "var(--faint)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-back) !important", color: "inherit" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "8px", boxShadow: "0 10px 40px rgb(0 0 0 / .3)", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "13px", maxHeight: "300px" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "3px 10px !important" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--chosen)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--faint)", fontStyle: "normal", marginLeft: "12px" },
  ".cm-completionInfo": { padding: "6px 10px", fontFamily: "var(--mono)", fontSize: "12px", color: "var(--soft)", maxWidth: "320px", overflowWrap: "anywhere" },
  ".cm-completionMatchedText": { textDecoration: "none", color: "var(--accent)", fontWeight: "700" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)", padding: "6px 10px" },
  ".cm-lintRange-error": { backgroundImage: "none", borderBottom: "2px solid var(--bad)", backgroundColor: "var(--bad-back)" },
  ".cm-lintPoint-error:after": { borderBottomColor: "var(--bad)" },
});

export class Editor {
  // `on.run` is for Ctrl-Enter, `on.checked` hears of each check: null, or an error.
  constructor(parent, { text, catalogue, run, checked }) {
    this.checked = checked;
    const nonce = document.querySelector("meta[name=csp-nonce]").content;
    const keys = Prec.highest(keymap.of([
      { key: "Mod-Enter", run: (view) => { closeCompletion(view); run(); return true; } },
      // While a completion is on its way Tab waits for it, and does not leave for the buttons.
      { key: "Tab", run: (view) => acceptCompletion(view) || completionStatus(view.state) !== null },
    ]));
    this.view = new EditorView({
      parent,
      doc: text,
      extensions: [
        EditorView.cspNonce.of(nonce), keys, mql, colours, looks, history(), drawSelection(), highlightSpecialChars(),
        bracketMatching(), closeBrackets(), EditorView.lineWrapping, EditorState.tabSize.of(2),
        autocompletion({ override: [completionOf(catalogue)], icons: false, interactionDelay: 0 }),
        placeholder("select … from …     Ctrl+Space completes, Ctrl+Enter runs"),
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
        EditorView.contentAttributes.of({ "aria-label": "MQL query", spellcheck: "false", autocapitalize: "off" }),
        EditorView.updateListener.of((update) => { if (update.docChanged) this.changed(); }),
      ],
    });
    this.changed();
  }

  get text() { return this.view.state.doc.toString(); }

  set text(value) {
    if (value !== this.text) this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: value } });
  }

  insert(text) {
    const { from, to } = this.view.state.selection.main;
    const before = this.view.state.sliceDoc(Math.max(0, from - 1), from);
    const put = (before && !/[\s(,[]/.test(before) ? " " : "") + text;
    this.view.dispatch({ changes: { from, to, insert: put }, selection: { anchor: from + put.length } });
    this.focus();
  }

  focus() { this.view.focus(); }

  destroy() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.view.destroy();
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), CHECK_MS);
  }

  async check() {
    this.asking?.abort();
    this.asking = new AbortController();
    const text = this.text;
    if (!text.trim()) return this.show(text, null);
    try {
      const told = await call("POST", "api/check", { query: text }, { signal: this.asking.signal });
      this.show(text, told.ok ? null : told.error);
    } catch { /* aborted, or nobody answers: the light at the top says so */ }
  }

  // Underline the place of an error. Its offsets count characters, CodeMirror's UTF-16 units.
  show(text, error) {
    if (text !== this.text) return;
    const found = [];
    if (error && error.start !== undefined) {
      const [from, to] = [unitsAt(text, error.start), unitsAt(text, error.end)];
      const wide = to > from;
      const at = wide || from < text.length ? from : Math.max(0, text.trimEnd().length - 1);
      found.push({
        from: at, to: wide ? to : Math.min(text.length, at + 1), severity: "error",
        message: error.hint ? `${error.message} (${error.hint})` : error.message,
      });
    }
    this.view.dispatch(setDiagnostics(this.view.state, found));
    this.checked(error);
  }
}

function unitsAt(text, characters) {
  let units = 0;
  for (let left = characters; left > 0 && units < text.length; left--) units += text.codePointAt(units) > 0xffff ? 2 : 1;
  return units;
}
