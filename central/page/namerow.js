/** A name in the list of all names: its last day, its last value and how old that is. */

import { breakable, cell, el } from "./dom.js";
import { digits } from "./numbers.js";
import { sparkline } from "./sparkline.js";
import { ago, day, moment } from "./time.js";

const LATE_SECONDS = 900;
const SILENT_SECONDS = 5_400; // what comes each hour is never so old
const DAY = 86_400;

/** `entry` is as the service lists it; `toggled(on)` is called when a person chooses it. */
export class NameRow {
  constructor(entry, { chosen, toggled }) {
    const { name, type } = entry;
    const at = (text) => Date.parse(text) / 1000;
    const state = stateOf(entry);
    const dead = state === "silent";
    const box = el("input", { type: "checkbox", "data-name": name, "aria-label": `Choose ${name}`, checked: chosen, onchange: () => toggled(box.checked) });
    const address = `#metrics?name=${name}&operation=${type === "counter" ? "sum" : "avg"}&last=${rangeFor(entry)}`;
    const seen = entry.last_seen ? ago(entry.age_seconds) : "no data";
    this.node = el("tr", { class: dead ? "dead" : "" }, el("td", {}, box),
      el("th", { scope: "row" }, el("a", { href: address, "data-name": name }, breakable(name)), entry.clash_of && el("span", { class: "kind" }, `sent as ${entry.clash_of}`)),
      cell("Type", { class: "aside" }, type), cell("Last day", { class: "day" }, sparkline(entry.sparkline)),
      cell("Last value", { class: "number" }, entry.last_value === null ? "–" : digits(entry.last_value)),
      cell("Last seen", { class: { silent: "over", late: "late" }[state] ?? "", title: entry.last_seen ? moment(at(entry.last_seen), "local") : null }, dead && entry.last_seen ? `silent, ${seen}` : seen),
      cell("First seen", { class: "aside" }, day(at(entry.first_seen), "local")), cell("Tags", { class: "aside" }, entry.tags.join(", ")));
  }
}

/**
 * "late" if a name that came steadily (in half of the hours before) has not come for a quarter of an hour, "silent" after
 * an hour and a half, and also if there is nothing in the last day. What comes now and then is neither.
 */
export function stateOf({ age_seconds: age, sparkline: hours }) {
  if (age === null) return "silent";
  const first = hours.findIndex((value) => value !== null);
  const last = hours.findLastIndex((value) => value !== null);
  const full = hours.filter((value) => value !== null).length;
  const steady = full >= 3 && full >= (last - first + 1) / 2;
  if (age >= DAY || (steady && age >= SILENT_SECONDS)) return "silent";
  return steady && age >= LATE_SECONDS ? "late" : "";
}

/** A range in which there is something to see. */
function rangeFor({ age_seconds: age }) {
  return [["24h", DAY / 2], ["7d", 6 * DAY], ["30d", 28 * DAY], ["90d", 88 * DAY]].find(([, most]) => age !== null && age < most)?.[0] ?? "all";
}
