/** The chart as a table. It is made when it is opened. */

import { el } from "./dom.js";
import { digits } from "./numbers.js";
import { moment } from "./time.js";

const MOST_ROWS = 1000;

/** `draw({series, step, zone, caption})`; the newest windows come first. */
export function createTable() {
  const host = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values as a table" });
  let data = null;
  const fill = () => {
    if (node.open && data) host.replaceChildren(...rows(data));
  };
  const node = el("details", { class: "as-table", ontoggle: fill }, el("summary", {}, "Show as a table"), host);
  return { node, draw: (next) => { data = next; fill(); } };
}

function rows({ series, step, zone, caption }) {
  const byTime = new Map();
  const cut = new Set();
  series.forEach(({ points }, index) => points.forEach(({ at, value, partial }) => {
    if (partial) cut.add(at);
    if (!byTime.has(at)) byTime.set(at, []);
    byTime.get(at)[index] = value;
  }));
  const times = [...byTime.keys()].sort((one, other) => other - one);
  const body = times.slice(0, MOST_ROWS).map((at) => el("tr", {}, el("th", { scope: "row" }, moment(at, zone, step), cut.has(at) && " (part)"),
    series.map((_, index) => el("td", {}, byTime.get(at)[index] === undefined ? "–" : digits(byTime.get(at)[index])))));
  const more = times.length > MOST_ROWS && el("p", { class: "hint" }, `The newest ${MOST_ROWS} of ${times.length}; the curl gives all.`);
  return [el("table", {}, el("caption", { class: "hidden" }, caption),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Window from"), series.map(({ name }) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, body)), more || ""];
}
