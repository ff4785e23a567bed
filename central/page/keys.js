/** The API keys as a table: their use against their limits, and what an administrator can do with each. */

import { cell, copied, el } from "./dom.js";
import { ask } from "./dialog.js";
import { keyFields } from "./keyfields.js";
import { ago, moment } from "./time.js";

export const KEYS = "/api/admin/keys";
const ORDER = ["ingest", "query", "admin"];
const HEAD = ["Name", "Scopes", "Requests per minute", "Last used", "Expires", ""];

/** `key()` is the admin key, `changed()` is called after a change, `replaced(text)` when the key in use got a new secret. */
export class Keys {
  #drawn = "";

  constructor(tools) {
    this.tools = tools;
    this.title = el("h2", { tabindex: "-1" }, "Keys");
    this.all = el("input", { type: "checkbox", id: "keys-revoked", onchange: () => this.#fill() });
    this.revoked = el("label", { for: "keys-revoked" });
    this.body = el("tbody");
    const make = el("button", { type: "button", class: "strong", "data-act": "make", onclick: () => this.#make() }, "Make a key");
    this.node = el("section", { class: "card", "aria-label": "Keys" }, el("div", { class: "row" }, this.title, make),
      el("div", { class: "scroll wide", tabindex: "0", role: "region", "aria-label": "Keys as a table" }, el("table", { class: "list" },
        el("thead", {}, el("tr", {}, HEAD.map((word) => el("th", { scope: "col" }, word || el("span", { class: "hidden" }, "Actions"))))), this.body)),
      el("div", { class: "check" }, this.all, this.revoked),
      el("p", { class: "hint" }, "Requests are those of the last whole minute, as far as the process that answered knows. A revoked key cannot come back."));
  }

  /** Draw these keys. `own` is the one in use. */
  draw(keys, own) {
    Object.assign(this, { keys, own });
    const gone = keys.filter(({ revoked_at: at }) => at).length;
    this.revoked.textContent = `Show ${gone} revoked`;
    this.all.parentNode.hidden = !gone;
    this.#fill();
  }

  #fill() {
    const shown = this.keys.filter(({ revoked_at: at }) => this.all.checked || !at);
    const text = JSON.stringify([shown, Math.floor(Date.now() / 60_000)]);
    if (text === this.#drawn) return;
    this.#drawn = text;
    const { id, act } = document.activeElement?.dataset ?? {};
    this.body.replaceChildren(...shown.map((key) => this.#row(key)));
    if (id) this.#focus(id, act);
  }

  /** Give the focus to a key's button; if it is gone, to the title. */
  #focus(id, act) {
    (this.node.querySelector(id ? `[data-id="${id}"][data-act="${act}"]` : `[data-act="${act}"]`) ?? this.title).focus();
  }

  #row(key) {
    const now = Date.now() / 1000;
    const at = (text) => Date.parse(text) / 1000;
    const over = key.requests_last_minute > key.rate_limit;
    const expired = key.expires_at && at(key.expires_at) <= now;
    return el("tr", { class: key.revoked_at || expired ? "gone" : "" },
      el("th", { scope: "row" }, el("strong", {}, key.name), key.id === this.own?.id && el("span", { class: "badge" }, "in use here"), el("code", {}, `${key.prefix}_…`)),
      cell("Scopes", {}, [...key.scopes].sort((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other)).join(", "),
        key.names && el("span", { class: "kind" }, `names that begin with ${key.names.join(" or ")}`)),
      cell("Requests per minute", { class: over ? "over" : "" }, el("meter", { min: 0, max: key.rate_limit, value: Math.min(key.requests_last_minute, key.rate_limit), high: key.rate_limit * 0.8, "aria-hidden": "true" }),
        el("span", {}, `${count(key.requests_last_minute)} of ${count(key.rate_limit)}`), el("span", { class: "kind" }, `${count(key.requests_this_minute)} in this minute so far`)),
      cell("Last used", { title: key.last_used_at ? moment(at(key.last_used_at), "local") : null }, key.last_used_at ? ago(Math.max(0, now - at(key.last_used_at))) : "never"),
      cell("Expires", {}, key.revoked_at ? `revoked ${moment(at(key.revoked_at), "local")}` : key.expires_at ? `${expired ? "expired " : ""}${moment(at(key.expires_at), "local")}` : "never"),
      el("td", { class: "acts" }, key.revoked_at ? "" : [["change", "Change", () => this.#change(key)], ["rotate", "Rotate", () => this.#rotate(key)], ["revoke", "Revoke", () => this.#revoke(key)]].map(([act, word, onclick]) =>
        el("button", { type: "button", class: "quiet", "aria-label": `${word} ${key.name}`, "data-id": key.id, "data-act": act, onclick }, word))));
  }

  #ask(options, id, act) {
    const { key, changed } = this.tools;
    ask({ ...options, key, closed: () => { this.#focus(id, act); changed(); } });
  }

  #make() {
    const fields = keyFields({ scopes: ["ingest", "query"] }, { named: true });
    this.#ask({ title: "Make a key", body: fields.nodes, act: "Make it",
      request: () => ({ method: "POST", path: KEYS, body: JSON.stringify(fields.value()) }), done: ({ data }) => this.#once(data) }, "", "make");
  }

  #change(key) {
    const fields = keyFields(key, { named: false });
    this.#ask({ title: `Change ${key.name}`, body: fields.nodes, act: "Change it", force: [["force", "true"]],
      request: () => ({ method: "PATCH", path: `${KEYS}/${key.id}`, body: JSON.stringify(fields.value()) }), done: () => { this.tools.say(`${key.name} is changed`); } }, key.id, "change");
  }

  #rotate(key) {
    const body = el("p", {}, "The key gets a new secret, which is shown once. The old one stops working within 30 seconds. Name, scopes, limit and remembered requests stay.");
    this.#ask({ title: `Rotate ${key.name}?`, body, act: "Rotate it", request: () => ({ method: "POST", path: `${KEYS}/${key.id}/rotate` }),
      done: ({ data }) => {
        if (key.id === this.own?.id) this.tools.replaced(data.key);
        return this.#once(data);
      } }, key.id, "rotate");
  }

  #revoke(key) {
    const own = key.id === this.own?.id ? " It is the key that you use here: this page will ask you for another one." : "";
    const age = key.last_used_at ? ago(Math.max(0, (Date.now() - Date.parse(key.last_used_at)) / 1000)) : "";
    const used = age === "now" ? "It is in use now." : age ? `It was last used ${age}.` : "It was never used.";
    const body = el("p", {}, `Whatever uses ${key.name} gets 401 within 30 seconds. ${used} This cannot be undone.${own}`);
    this.#ask({ title: `Revoke ${key.name}?`, body, act: "Revoke it", danger: true, force: [["force", "true"]], request: () => ({ method: "DELETE", path: `${KEYS}/${key.id}` }),
      done: () => { this.tools.say(`${key.name} is revoked`); } }, key.id, "revoke");
  }

  /** The new key, which is in no other answer. It goes when the dialog closes. */
  #once({ name, key }) {
    const copy = el("button", { type: "button", onclick: async () => {
      copy.textContent = (await copied(key)) ? "Copied" : "Select the text";
    } }, "Copy");
    const once = el("p", {}, "It is shown only now, and this page does not keep it: copy it to where it is needed.");
    return { heading: `The key ${name}`, nodes: [once, el("pre", { tabindex: "0", class: "fresh" }, el("code", {}, key))], buttons: [copy] };
  }
}

function count(number) {
  return number.toLocaleString("en");
}
