/** Picks metric names: a combobox over `GET /api/metrics?prefix=` and a chip for each name picked. */

import { swatch } from "./chart.js";
import { el } from "./dom.js";

export const MOST_NAMES = 8;
const PAUSE_MS = 120;
const SHOWN = 50;
const IS_NAME = /^[A-Za-z0-9._-]{1,255}$/;
const RULE = "A name has letters, digits, dots, underscores and hyphens only.";

/** `ask(query)` gives the answer of the list endpoint; `changed(names)` is called when the names change. */
export class Picker {
  #names = [];
  #options = [];
  #active = -1;
  #timer = 0;
  #turn = 0; // of the last question: an answer to an earlier one is ignored

  constructor({ ask, changed, say }) {
    Object.assign(this, { ask, changed, say });
    this.list = el("ul", { id: "names-list", role: "listbox", "aria-label": "Names of metrics", hidden: true });
    this.input = el("input", {
      id: "names-input", role: "combobox", "aria-expanded": "false", "aria-controls": this.list.id, "aria-autocomplete": "list",
      autocomplete: "off", spellcheck: "false", autocapitalize: "none", "aria-describedby": "names-hint", placeholder: "Type the start of a name",
      oninput: () => this.#later(), onfocus: () => this.#look(), onclick: () => this.#look(),
      onkeydown: (event) => this.#press(event), onblur: () => this.#close(),
    });
    this.hint = el("p", { class: "hint", id: "names-hint" });
    this.chips = el("ul", { class: "chips", "aria-label": "Names picked" });
    this.node = el("div", { class: "field picker" }, el("label", { for: this.input.id }, "Metrics"),
      el("div", { class: "combo" }, this.chips, this.input), this.list, this.hint);
    this.#draw();
  }

  /** Names from elsewhere. Those that are there already stay as they are, with the focus in them. */
  show(names) {
    if (names.length === this.#names.length && names.every((name, index) => name === this.#names[index])) return;
    this.#names = names;
    this.#draw();
  }

  #draw() {
    const names = this.#names;
    this.chips.hidden = !names.length;
    this.chips.replaceChildren(...names.map((name, index) => el("li", {}, swatch(index), el("span", {}, name),
      el("button", { type: "button", "aria-label": `Remove ${name}`, onclick: () => this.#remove(name) }, "×"))));
    const most = names.length >= MOST_NAMES ? `${MOST_NAMES} at most are drawn at once.` : "";
    this.hint.textContent = names.length ? most : "Type a name, or press the down arrow for a list.";
  }

  #set(names) {
    this.#names = names;
    this.#draw();
    this.changed(names);
  }

  #add(name) {
    this.input.value = "";
    this.#close();
    if (this.#names.includes(name) || this.#names.length >= MOST_NAMES) return;
    this.#set([...this.#names, name]);
    this.say(`${name} picked`);
  }

  #remove(name) {
    this.#set(this.#names.filter((other) => other !== name));
    this.say(`${name} removed`);
    this.input.focus();
    this.#close();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
  }

  async #look() {
    const prefix = this.input.value.trim();
    if (prefix && !IS_NAME.test(prefix)) {
      this.#close();
      this.hint.textContent = RULE;
      return;
    }
    const mine = (this.#turn += 1);
    const found = await this.ask([...(prefix ? [["prefix", prefix]] : []), ["limit", String(SHOWN)]]);
    if (mine !== this.#turn || document.activeElement !== this.input) return;
    this.#open(found?.data?.filter((entry) => !this.#names.includes(entry.name)) ?? [], prefix, found?.next);
  }

  #open(options, prefix, more) {
    this.#options = options;
    this.#active = -1;
    this.input.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(...options.map((entry, index) => el("li", {
      role: "option", id: `name-${index}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); this.#add(entry.name); },
    }, el("span", { class: "name" }, entry.name), el("span", { class: "kind" }, entry.type))));
    this.list.hidden = !options.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    const none = prefix ? `No other name starts with “${prefix}”.` : "";
    const rest = more ? `These are the first ${options.length}; type more to find others.` : "";
    this.hint.textContent = options.length ? rest : none;
  }

  #close() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.list.hidden = true;
    this.#active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #move(by) {
    if (this.list.hidden) {
      this.#look();
      return;
    }
    const count = this.#options.length;
    this.#active = this.#active < 0 && by < 0 ? count - 1 : (this.#active + by + count) % count;
    const options = [...this.list.children];
    options.forEach((option, index) => option.setAttribute("aria-selected", String(index === this.#active)));
    options[this.#active].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[this.#active].id);
  }

  #press(event) {
    const typed = this.input.value.trim();
    if (event.key === "ArrowDown") this.#move(1);
    else if (event.key === "ArrowUp") this.#move(-1);
    else if (event.key === "Escape" && !this.list.hidden) this.#close();
    else if (event.key === "Enter" && this.#active >= 0) this.#add(this.#options[this.#active].name);
    else if (event.key === "Enter" && typed) this.#enter(typed);
    else if (event.key === "Backspace" && !this.input.value && this.#names.length) this.#remove(this.#names.at(-1));
    else return;
    event.preventDefault();
  }

  /** The names typed or pasted, with commas between, once they can be names. */
  #enter(typed) {
    const parts = typed.split(/[\s,]+/).filter(Boolean);
    if (parts.every((part) => IS_NAME.test(part))) parts.forEach((part) => this.#add(part));
    else this.hint.textContent = RULE;
  }
}
