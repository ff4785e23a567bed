/** The part with all names: search by any part, and what is known of each. One picks some of them to draw. */

import { explain, followed, patience, send, unreachable } from "./api.js";
import { el, notice } from "./dom.js";
import { IS_GLOB, IS_NAME, NAME_RULE, packed } from "./names.js";
import { NameRow } from "./namerow.js";
import { chosenBy } from "./picker.js";
import { AGGREGATE, LISTED, MOST_NAMES } from "./question.js";

const PAUSE_MS = 200;
const PATIENCE_MS = 20_000;
const REFRESH_MS = 30_000;
const PAGE = 100;
const MOST = 1_000; // of one answer
const HEAD = ["Name", "Type", "Last day", "Last value", "Last seen", "First seen", "Tags"];

/** The part `names` of the page. The search is in the address. */
export class Browse {
  #timer = 0;
  #pause = 0;
  #turn = 0;
  #chosen = new Map(); // name: type
  #shown = [];

  constructor(host, { session, say, visible }) {
    Object.assign(this, { session, say, visible });
    this.input = el("input", { type: "search", id: "browse-input", autocomplete: "off", spellcheck: "false", autocapitalize: "none", placeholder: "orders, or a pattern such as shop.*",
      "aria-describedby": "browse-hint", oninput: () => this.#typed() });
    this.hint = el("p", { class: "hint", id: "browse-hint", role: "status" });
    this.trouble = el("div", { role: "alert" });
    this.note = el("div");
    this.body = el("tbody");
    this.draw = el("button", { type: "button", class: "strong", onclick: () => this.#open() });
    this.clear = el("button", { type: "button", onclick: () => this.#choose(new Map()) }, "Choose none");
    this.tray = el("div", { class: "tray buttons", hidden: true }, this.draw, this.clear);
    this.more = el("button", { type: "button", hidden: true, onclick: () => this.#ask({ more: true }) }, "Show more");
    this.table = el("div", { class: "scroll wide", hidden: true, tabindex: "0", role: "region", "aria-label": "Names as a table" }, el("table", { class: "list names" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "hidden" }, "Choose")), HEAD.map((word) => el("th", { scope: "col" }, word)))), this.body));
    this.whole = el("div", { class: "card", hidden: true }, el("h1", { id: "names-title" }, "Names"),
      el("div", { class: "field" }, el("label", { for: this.input.id }, "Search by any part of a name"), this.input, this.hint), this.trouble, this.note, this.tray, this.table, this.more);
    host.replaceChildren(this.whole);
    session.onChange(() => this.follow());
  }

  /** This part is shown, or its address changed. */
  follow() {
    clearTimeout(this.#timer);
    this.whole.hidden = !this.session.key;
    if (!this.visible() || !this.session.key) return;
    const search = new URLSearchParams(location.hash.split("?")[1] ?? "").get("search") ?? "";
    if (document.activeElement !== this.input) this.input.value = search;
    this.#ask();
  }

  #typed() {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      const text = this.input.value.trim();
      history.replaceState(null, "", text ? `#names?${new URLSearchParams({ search: text })}` : "#names");
      this.#ask();
    }, PAUSE_MS);
  }

  /** Ask for the names; `more` for those behind the ones shown, `quiet` for the same ones again. */
  async #ask({ more = false, quiet = false } = {}) {
    clearTimeout(this.#timer);
    const text = this.input.value.trim();
    if (text && !IS_NAME.test(text) && !IS_GLOB.test(text)) {
      this.hint.textContent = `${NAME_RULE} A pattern has * ? [a-z] {a,b} too.`;
      return;
    }
    const mine = (this.#turn += 1);
    if (!quiet) this.hint.textContent = "Asking the service…";
    const reply = await this.#send(LISTED, [...chosenBy(text), ["sparkline", "24h"], ["limit", String(quiet ? Math.min(MOST, Math.max(PAGE, this.#shown.length)) : PAGE)],
      ...(more ? [["after", this.#shown.at(-1).name]] : [])]);
    if (mine !== this.#turn) return;
    if (!reply) this.hint.textContent = "";
    else await this.#draw(reply, text, more);
    this.#timer = setTimeout(() => this.#again(), REFRESH_MS);
  }

  #again() {
    if (this.visible() && !document.hidden && this.#shown.length <= MOST) this.#ask({ quiet: true });
    else this.#timer = setTimeout(() => this.#again(), 1000);
  }

  async #draw({ data, next }, text, more) {
    this.trouble.replaceChildren();
    this.#shown = more ? [...this.#shown, ...data] : data;
    const { name: focused } = document.activeElement?.dataset ?? {};
    const kind = document.activeElement?.tagName;
    const rows = data.map((entry) => new NameRow(entry, { chosen: this.#chosen.has(entry.name), toggled: (on) => this.#toggle(entry, on) }).node);
    if (more) this.body.append(...rows);
    else this.body.replaceChildren(...rows);
    if (focused) this.body.querySelector(`${kind}[data-name="${CSS.escape(focused)}"]`)?.focus();
    if (more) rows[0]?.querySelector("a").focus();
    this.more.hidden = !next;
    this.table.hidden = !this.#shown.length;
    const count = this.#shown.length.toLocaleString("en");
    this.hint.textContent = this.#shown.length ? `${next ? `The first ${count} names` : `${count} ${this.#shown.length === 1 ? "name" : "names"}`}. Last value and last day: the sum of a counter, the average of a value.` : "";
    await this.#none(text);
  }

  /** Nothing was found: say so, with the names that are nearest. */
  async #none(text) {
    if (this.#shown.length) {
      this.note.replaceChildren();
      return;
    }
    const near = IS_NAME.test(text) ? (await this.#send(AGGREGATE, [["name", text], ["operation", "count"], ["window", "1d"], ["start", "-1d"], ["end", "now"]]))?.unknown?.[0]?.near ?? [] : [];
    const words = text ? { title: `No name holds “${text}”`, text: near.length ? "Did you mean one of these?" : "No other name is like it." } : { title: "Nothing has been counted yet", text: "Names appear here as soon as something is sent." };
    this.note.replaceChildren(notice({ kind: "info", ...words }, near.map((name) => el("button", { type: "button", class: "quiet", onclick: () => {
      this.input.value = name;
      this.input.focus();
      this.#typed();
    } }, name))));
  }

  /** The answer, or undefined; then the page says why. */
  async #send(path, query) {
    try {
      const reply = await send({ path, query }, this.session.key, patience(PATIENCE_MS));
      if (reply.ok) return reply.json;
      this.trouble.replaceChildren(notice(followed(explain(reply, true))));
    } catch {
      this.trouble.replaceChildren(notice(followed(unreachable())));
    }
    return undefined;
  }

  #toggle({ name, type }, on) {
    const chosen = new Map(this.#chosen);
    if (on) chosen.set(name, type);
    else chosen.delete(name);
    this.#choose(chosen);
  }

  #choose(chosen) {
    const cleared = this.#chosen.size && !chosen.size && document.activeElement === this.clear;
    this.#chosen = chosen;
    this.tray.hidden = !chosen.size;
    const many = chosen.size > MOST_NAMES;
    this.draw.disabled = many;
    this.draw.textContent = many ? `${chosen.size} are chosen; ${MOST_NAMES} can be drawn` : `Draw ${chosen.size === 1 ? "it" : `these ${chosen.size}`}`;
    for (const box of this.body.querySelectorAll("input")) box.checked = chosen.has(box.dataset.name);
    if (cleared) this.input.focus();
  }

  #open() {
    const fitting = [...this.#chosen.values()].every((type) => type === "counter") ? "sum" : "avg";
    location.hash = `#metrics?name=${packed([...this.#chosen.keys()])}&operation=${fitting}&last=24h`;
  }
}
