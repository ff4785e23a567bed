/** The fields of a key in a dialog: name, scopes, names that it may use, limit and expiry. */

import { el, field } from "./dom.js";
import { fromControl, iso, toControl } from "./time.js";

const SCOPES = { ingest: "send", query: "read", admin: "administer keys, retention and backups" };

/** `key` is what the fields begin with. `value()` is what the service is sent: of a key that is there, only what was changed. */
export function keyFields(key, { named }) {
  const name = el("input", { required: true, maxlength: 255, autocomplete: "off", placeholder: "checkout service" });
  const limit = el("input", { type: "number", min: 1, max: 1_000_000_000, step: 1, value: key.rate_limit ?? "", required: !named });
  const ends = el("input", { type: "datetime-local", value: key.expires_at ? toControl(Date.parse(key.expires_at) / 1000, "local") : "" });
  const names = el("input", { value: (key.names ?? []).join(", "), autocomplete: "off", spellcheck: "false", placeholder: "shop., web." });
  const boxes = Object.entries(SCOPES).map(([scope, words]) => {
    const box = el("input", { type: "checkbox", id: `scope-${scope}`, value: scope, checked: key.scopes.includes(scope) });
    return { box, node: el("div", { class: "check" }, box, el("label", { for: box.id }, el("strong", {}, scope), ` ${words}`)) };
  });
  const scopes = () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
  const prefixes = () => names.value.split(/[\s,]+/).filter(Boolean);
  const allowed = () => (prefixes().length ? prefixes() : null);
  const expiry = () => (ends.value ? iso(fromControl(ends.value, "local")) : null);
  const asked = () => ({ scopes: scopes(), names: allowed(), ...(limit.value ? { rate_limit: Number(limit.value) } : {}), expires_at: expiry() });
  const before = { scopes: [...key.scopes].sort().join(), names: names.value, rate_limit: key.rate_limit, ends: ends.value };
  const changes = () => ({
    ...(scopes().sort().join() === before.scopes ? {} : { scopes: scopes() }),
    ...(names.value === before.names ? {} : { names: allowed() }),
    ...(Number(limit.value) === before.rate_limit ? {} : { rate_limit: Number(limit.value) }),
    ...(ends.value === before.ends ? {} : { expires_at: expiry() }),
  });
  return {
    nodes: [named && field("Name", name, "Who uses it, for people."),
      el("fieldset", { class: "choice" }, el("legend", {}, "Scopes"), boxes.map(({ node }) => node)),
      field("Names that begin with", names, "With commas between. Empty: all names."),
      field("Requests per minute", limit, named ? "Empty: the service's default." : ""), field("Expires (your time)", ends, "Empty: never.")],
    value: () => (named ? { name: name.value, ...asked() } : changes()),
  };
}
