/** The part for administrators: the keys, the agents and retention. It needs a key with the scope admin. */

import { keyIn } from "./api.js";
import { Agents } from "./agents.js";
import { answer } from "./dialog.js";
import { el, field, notice } from "./dom.js";
import { Keys, KEYS } from "./keys.js";
import { Retention } from "./retention.js";

const REFRESH_MS = 15_000;

/** The part `admin` of the page. An admin key given here is in this object alone: no storage of the browser has it. */
export class Admin {
  #given = "";
  #timer = 0;
  #turn = 0;

  constructor(host, { session, say, visible }) {
    Object.assign(this, { session, say, visible });
    const tools = { key: () => this.#key(), say, changed: () => this.show(), replaced: (text) => this.#replaced(text) };
    this.keys = new Keys(tools);
    this.parts = [this.keys, new Agents(tools), new Retention(tools)];
    this.about = el("p", { class: "key-line" });
    this.trouble = el("div", { role: "alert" });
    this.form = this.#form();
    this.shown = el("div", { hidden: true }, this.parts.map(({ node }) => node));
    host.replaceChildren(el("h1", { id: "admin-title" }, "Administer"), this.about, this.trouble, this.form, this.shown);
    session.onChange(() => this.follow());
  }

  /** This part is shown: ask, and again while it stays. */
  follow() {
    clearTimeout(this.#timer);
    if (this.visible()) this.show();
  }

  /** Ask for everything and draw it. */
  async show() {
    clearTimeout(this.#timer);
    const mine = (this.#turn += 1);
    const { reply, fault } = this.#key() ? await answer({ path: KEYS }, this.#key()) : { fault: {} };
    if (mine !== this.#turn) return;
    if (fault) this.#refuse(reply, fault);
    else this.#draw(reply.json.data);
    if (this.#key()) this.#timer = setTimeout(() => this.#again(), REFRESH_MS);
  }

  #again() {
    if (this.visible() && !document.hidden && !document.querySelector("dialog[open]")) this.show();
    else this.#timer = setTimeout(() => this.#again(), 1000);
  }

  #draw(keys) {
    this.trouble.replaceChildren();
    this.form.hidden = true;
    this.shown.hidden = false;
    const own = keys.find(({ prefix }) => this.#key().startsWith(prefix));
    const where = this.#given ? "kept in the memory of this tab only: a reload forgets it" : "kept in this tab only, until you close it";
    const forget = el("button", { type: "button", class: "quiet", onclick: () => this.#forget() }, "Forget the admin key");
    this.about.replaceChildren(el("span", {}, "Admin key ", el("code", {}, own ? own.name : "of the settings"), `, ${where}`), this.#given ? forget : "");
    this.keys.draw(keys, own);
    for (const part of this.parts.slice(1)) part.show();
  }

  /** Without a key that may do it: ask for one. What is drawn goes only if the key may not see it. */
  #refuse(reply, fault) {
    const lacks = !this.#key() || reply?.status === 403;
    const bad = lacks || reply?.status === 401;
    this.shown.hidden ||= bad;
    this.form.hidden = !bad;
    if (bad) this.about.replaceChildren();
    if (reply?.status === 401) this.#given = "";
    const needed = { kind: "info", title: "This part needs a key with the scope admin", text: this.#key() ? "Your key does not have it. Paste an admin key here: your own key stays as it is." : "Paste one here." };
    this.trouble.replaceChildren(notice(lacks ? needed : fault));
  }

  #form() {
    const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "gf_…" });
    const use = (event) => {
      event.preventDefault();
      this.#given = keyIn(input.value);
      input.value = "";
      this.show().then(() => (this.shown.hidden ? input : this.keys.title).focus());
    };
    return el("form", { class: "card admin-key", hidden: true, onsubmit: use }, field("Admin key", input, "It stays in the memory of this tab. It is not stored in the browser, and a reload forgets it."),
      el("button", { class: "strong" }, "Use this admin key"));
  }

  #forget() {
    this.#given = "";
    this.say("The admin key is forgotten");
    this.show().then(() => { if (!this.form.hidden) this.form.querySelector("input").focus(); });
  }

  #key() {
    return this.#given || this.session.key;
  }

  /** The key in use was rotated: go on with the new one. */
  #replaced(text) {
    if (this.#given) this.#given = text;
    else this.session.key = text;
  }
}
