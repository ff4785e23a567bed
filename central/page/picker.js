/** Picks metric names: a combobox over `GET /api/metrics?prefix=` and a chip for each name picked. */

import { swatch } from "./chart.js";
import { el } from "./dom.js";

export const MOST_NAMES = 8;
const PAUSE_MS = 120;
const SHOWN = 50;
const IS_NAME = /^[A-Za-z0-9._-]{1,255}$/;

/** `ask(query)` gives the answer of the list endpoint; `changed(names)` is called when the names change. */
export function createPicker({ ask, changed, say }) {
  let names = [];
  let options = [];
  let active = -1;
  let timer = 0;
  let turn = 0;
  const list = el("ul", { id: "names-list", role: "listbox", "aria-label": "Names of metrics", hidden: true });
  const input = el("input", {
    id: "names-input", role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list",
    autocomplete: "off", spellcheck: "false", autocapitalize: "none", "aria-describedby": "names-hint", placeholder: "Type the start of a name",
    oninput: () => later(), onfocus: () => look(), onclick: () => look(), onkeydown: (event) => press(event), onblur: () => close(),
  });
  const hint = el("p", { class: "hint", id: "names-hint" });
  const chips = el("ul", { class: "chips", "aria-label": "Names picked" });
  const node = el("div", { class: "field picker" }, el("label", { for: input.id }, "Metrics"),
    el("div", { class: "combo" }, chips, input), list, hint);

  function show() {
    chips.hidden = !names.length;
    chips.replaceChildren(...names.map((name, index) => el("li", {}, swatch(index), el("span", {}, name),
      el("button", { type: "button", "aria-label": `Remove ${name}`, onclick: () => remove(name) }, "×"))));
    hint.textContent = names.length >= MOST_NAMES ? `${MOST_NAMES} at most are drawn at once.` : names.length ? "" : "Type a name, or press the down arrow for a list.";
  }
  function set(next) {
    names = next;
    show();
    changed(names);
  }
  function add(name) {
    input.value = "";
    close();
    if (names.includes(name) || names.length >= MOST_NAMES) return;
    set([...names, name]);
    say(`${name} picked`);
  }
  function remove(name) {
    set(names.filter((other) => other !== name));
    say(`${name} removed`);
    input.focus();
    close();
  }
  function later() {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  }
  async function look() {
    const prefix = input.value.trim();
    if (prefix && !IS_NAME.test(prefix)) {
      close();
      hint.textContent = "A name has letters, digits, dots, underscores and hyphens only.";
      return;
    }
    const mine = (turn += 1);
    const found = await ask([...(prefix ? [["prefix", prefix]] : []), ["limit", String(SHOWN)]]);
    if (mine !== turn || document.activeElement !== input) return;
    open(found?.data?.filter((entry) => !names.includes(entry.name)) ?? [], prefix, found?.next);
  }
  function open(found, prefix, more) {
    options = found;
    active = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...options.map((entry, index) => el("li", {
      role: "option", id: `name-${index}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); add(entry.name); },
    }, el("span", { class: "name" }, entry.name), el("span", { class: "kind" }, entry.type))));
    list.hidden = !options.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    const count = more ? `The first ${options.length}; type more to find others.` : "";
    hint.textContent = options.length ? count : prefix ? `No other name starts with “${prefix}”.` : "";
  }
  function close() {
    turn += 1;
    clearTimeout(timer);
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function move(by) {
    if (list.hidden) {
      look();
      return;
    }
    active = (active + by + options.length + (active < 0 && by < 0 ? 1 : 0)) % options.length;
    [...list.children].forEach((option, index) => option.setAttribute("aria-selected", String(index === active)));
    list.children[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", list.children[active].id);
  }
  function press(event) {
    const typed = input.value.trim();
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Escape" && !list.hidden) close();
    else if (event.key === "Enter" && active >= 0) add(options[active].name);
    else if (event.key === "Enter" && typed) enter(typed);
    else if (event.key === "Backspace" && !input.value && names.length) {
      remove(names.at(-1));
      return;
    } else return;
    event.preventDefault();
  }
  /** The names typed or pasted, with commas between, once they can be names. */
  function enter(typed) {
    const parts = typed.split(/[\s,]+/).filter(Boolean);
    if (!parts.every((part) => IS_NAME.test(part))) {
      hint.textContent = "A name has letters, digits, dots, underscores and hyphens only.";
      return;
    }
    parts.forEach(add);
  }
  show();
  const same = (next) => next.length === names.length && next.every((name, index) => name === names[index]);
  return {
    node,
    /** Names from elsewhere. Those that are there already stay as they are, with the focus in them. */
    show: (next) => {
      if (same(next)) return;
      names = next;
      show();
    },
  };
}
