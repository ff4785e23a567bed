/** A combobox that picks several words: a chip for each word picked, and a list of suggestions while one types. */

import { el } from "./dom.js";

const PAUSE_MS = 120;

/**
 * `suggest(text)` gives `{options: [{value, kind, fill}], hint}`; choosing one picks its value, or writes `fill` to go on from.
 * `parse(text)` gives `{words}` of a typed text, or `{fault}`, at once or later. `changed(words)` is called when the words change.
 * `mark(index)` gives a chip its mark, `empty` is the hint without words, `again` the placeholder with some.
 */
export class Combo {
  #words = [];
  #options = [];
  #active = -1;
  #timer = 0;
  #turn = 0; // of the last question: an answer to an earlier one is ignored

  constructor({ id, label, placeholder, suggest, parse, changed, say, most = 50, mark, empty = "", again = "" }) {
    Object.assign(this, { suggest, parse, changed, say, most, mark, empty, placeholders: [placeholder, again] });
    this.list = el("ul", { id: `${id}-list`, role: "listbox", "aria-label": `${label}: suggestions`, hidden: true });
    this.hint = el("p", { class: "hint", id: `${id}-hint` });
    this.input = el("input", {
      id: `${id}-input`, role: "combobox", "aria-expanded": "false", "aria-controls": this.list.id, "aria-autocomplete": "list",
      autocomplete: "off", spellcheck: "false", autocapitalize: "none", "aria-describedby": this.hint.id, placeholder,
      oninput: () => this.#later(), onfocus: () => this.#look(), onclick: () => this.#look(),
      onkeydown: (event) => this.#press(event), onblur: () => this.#blur(),
    });
    this.chips = el("ul", { class: "chips", "aria-label": `${label}: chosen` });
    this.node = el("div", { class: "field picker" }, el("label", { for: this.input.id }, label),
      el("div", { class: "combo" }, this.chips, this.input), this.list, this.hint);
    this.#draw();
  }

  /** Words from elsewhere. Those that are there already stay as they are, with the focus in them. */
  show(words) {
    if (words.length === this.#words.length && words.every((word, index) => word === this.#words[index])) return;
    this.#words = words;
    this.#draw();
  }

  #draw() {
    const words = this.#words;
    this.chips.hidden = !words.length;
    const held = this.chips.contains(document.activeElement);
    this.chips.replaceChildren(...words.map((word, index) => el("li", {}, this.mark?.(index), el("span", {}, word),
      el("button", { type: "button", "aria-label": `Remove ${word}`, onclick: () => this.#remove(word) }, "×"))));
    this.input.placeholder = this.placeholders[Number(words.length > 0)];
    if (held) this.input.focus();
    this.#rest();
  }

  #rest() {
    this.hint.textContent = this.#words.length >= this.most ? `${this.most} at most.` : this.#words.length ? "" : this.empty;
  }

  #set(words) {
    this.#words = words;
    this.#draw();
    this.changed(words);
  }

  #add(...words) {
    this.input.value = "";
    this.#close();
    const fresh = words.filter((word) => !this.#words.includes(word)).slice(0, this.most - this.#words.length);
    if (!fresh.length) return;
    this.#set([...this.#words, ...fresh]);
    this.say(`${fresh.join(", ")} picked`);
  }

  #remove(word) {
    this.#set(this.#words.filter((other) => other !== word));
    this.say(`${word} removed`);
    this.input.focus();
    this.#close();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
  }

  async #look() {
    const typed = this.input.value.trim();
    const mine = (this.#turn += 1);
    const { options, hint } = await this.suggest(typed);
    if (mine !== this.#turn || document.activeElement !== this.input) return;
    this.#open(options.filter(({ value }) => !this.#words.includes(value)), hint);
  }

  #open(options, hint) {
    this.#options = options;
    this.#active = -1;
    this.input.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(...options.map((entry, index) => el("li", {
      role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); this.#choose(entry); },
    }, el("span", { class: "name" }, entry.value), el("span", { class: "kind" }, entry.kind))));
    this.list.hidden = !options.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    if (hint) this.hint.textContent = hint;
    else this.#rest();
  }

  #choose({ value, fill }) {
    if (!fill) {
      this.#add(value);
      return;
    }
    this.input.value = fill;
    this.#look();
  }

  #close() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.list.hidden = true;
    this.#active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #blur() {
    this.#close();
    if (this.input.value.trim()) this.hint.textContent = `“${this.input.value.trim()}” is not in use yet: press Enter in the field.`;
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
    else if (event.key === "Enter" && this.#active >= 0) this.#choose(this.#options[this.#active]);
    else if (event.key === "Enter" && typed) this.#enter(typed);
    else if (event.key === "Backspace" && !this.input.value && this.#words.length) this.#remove(this.#words.at(-1));
    else return;
    event.preventDefault();
  }

  /** The words typed or pasted, once they can be such words. */
  async #enter(typed) {
    this.#close();
    const { words, fault } = await this.parse(typed);
    if (fault) this.hint.textContent = fault;
    else this.#add(...words);
  }
}
