/** The values under a chart: those of a window, or the latest with their age. It is the legend too. */

import { breakable, el, svg } from "./dom.js";
import { looksOf } from "./plot.js";
import { ago, moment } from "./time.js";

/** The mark of a line: its colour and its dash. */
export function swatch(place) {
  const { colour, dash } = looksOf(place);
  return svg("svg", { class: `swatch s${colour}`, width: 18, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 17, y1: 5, y2: 5, "stroke-dasharray": dash.join(" ") }));
}

/** The value of each line in the window that begins at `at`, or its latest if that is null; and the time in words. */
export function reading({ series, zone, step, now }, at) {
  const points = series.map((line) => (at === null ? line.points.at(-1) : line.points.find((point) => point.at === at)));
  const times = [...new Set(points.filter(Boolean).map((point) => point.at))];
  const found = points.find(Boolean);
  if (at !== null) return { points, time: windowText(found ?? { at }, zone, step, now) };
  if (times.length > 1) return { points, time: "Latest of each" };
  return { points, time: times.length ? windowText(found, zone, step, now) : "No data" };
}

function windowText({ at, partial }, zone, step, now) {
  const part = at + step > now ? " so far" : partial ? ", cut by the range" : "";
  return `${moment(at, zone, step)}${part}`;
}

/** The read-out. `text` writes a value; `toggled(name)` is called when a person hides or shows a line. */
export class Readout {
  #rows = [];
  #names = "";

  constructor({ text, toggled }) {
    Object.assign(this, { text, toggled });
    this.time = el("p", { class: "time" });
    this.list = el("ul");
    this.node = el("div", { class: "readout" }, this.time, this.list);
  }

  /** Show a reading. The rows stay as long as the lines do, so that one of them keeps the focus. Returns it in words. */
  show(data, { points, time }, latest) {
    const lines = data.series;
    const names = JSON.stringify(lines.map(({ name, place, hidden, side, before }) => [name, place, hidden, side, before]));
    if (names !== this.#names) this.#make(lines);
    this.#names = names;
    this.time.textContent = time;
    const values = lines.map(({ hidden }, index) => (hidden ? "hidden" : points[index] ? this.text(points[index].value) : "no data"));
    lines.forEach((line, index) => {
      const { value, age } = this.#rows[index];
      value.textContent = values[index];
      age.replaceChildren(...(latest && points[index] && data.ages && !line.before && !line.hidden ? [ageOf(points[index], data)] : []));
    });
    return `${time}: ${lines.map(({ name }, index) => `${name} ${values[index]}`).join(", ")}`;
  }

  #make(lines) {
    const focused = [...this.list.querySelectorAll("button")].indexOf(document.activeElement);
    this.#rows = lines.map(({ name, place, hidden, side, before }) => {
      const [value, age] = [el("span", { class: "value" }), el("span")];
      const title = [swatch(place), el("span", { class: "name" }, breakable(name))];
      const toggle = this.toggled && lines.length > 1 && !before && el("button", { type: "button", class: "line-toggle", "aria-pressed": String(!hidden), title: hidden ? "Show this line" : "Hide this line",
        onclick: () => this.toggled(name) }, title);
      const node = el("li", { class: [before && "before", hidden && "off"].filter(Boolean).join(" ") }, toggle || el("span", { class: "line-title" }, title), value, age, side === 1 && el("span", { class: "side" }, "right scale"));
      return { node, value, age };
    });
    this.list.replaceChildren(...this.#rows.map(({ node }) => node));
    this.list.classList.toggle("many", lines.length > 8);
    if (focused >= 0) this.list.querySelectorAll("button")[Math.min(focused, lines.length - 1)]?.focus();
  }
}

/** How long ago the window of a latest value ended. From two windows on it looks as old as it is. */
function ageOf({ at }, { step, now }) {
  const seconds = Math.max(0, now - at - step);
  return el("span", { class: seconds >= 2 * step ? "age stale" : "age" }, ago(seconds));
}
