/** An answer for a person: a title, a chart, a table and notes. */

import { earlier, seriesOf, unavailableOf } from "./answer.js";
import { Chart } from "./chart.js";
import { el, notice } from "./dom.js";
import { fileName, picture, save } from "./download.js";
import { digits } from "./numbers.js";
import { EARLIER } from "./question.js";
import { createTable } from "./table.js";
import { dayZone, zoneName } from "./time.js";

const PER = { "1m": "minute", "5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "1d": "day" };
const MOST_TITLED = 3;
const LONG = ["30d", "90d", "all"];

/**
 * `change(to)` changes the question, `move(by)` the range: -1 is earlier, 1 later, "in" and "out" halve and double it. `zoom(from, to)`
 * takes a part of it, `csv()` saves the values.
 */
export class Result {
  #shown = "";
  #title = "";
  #state = null;

  constructor({ change, move, zoom, csv }) {
    this.change = change;
    this.chart = new Chart({ label: "Chart of the metrics", text: digits, zoomed: zoom, toggled: (name) => this.#toggle(name) });
    this.table = createTable();
    this.title = el("h2", { class: "what", tabindex: "-1" });
    this.note = el("div");
    this.under = el("p", { class: "hint" });
    const button = (text, label, onclick) => el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick }, text);
    this.tools = el("div", { class: "buttons chart-tools" },
      button("←", "Earlier", () => move(-1)), button("→", "Later", () => move(1)), button("+", "Zoom in", () => move("in")), button("−", "Zoom out", () => move("out")),
      button("CSV", "Save as CSV", csv), button("PNG", "Save as PNG", () => this.#picture()));
    this.waiting = el("p", { class: "hint waiting", hidden: true }, "Asking the service…");
    this.node = el("div", { class: "card result", hidden: true }, el("div", { class: "row head" }, this.title, this.tools), this.note, this.chart.node, this.under, this.table.node);
  }

  /** Another answer is on its way. */
  busy(on) {
    this.node.toggleAttribute("aria-busy", on);
    this.waiting.hidden = !on;
  }

  /** No answer came. With `kept` the drawn chart stays. */
  failed(kept) {
    this.busy(false);
    this.node.hidden ||= !kept;
  }

  /** Draw the answers; `before` are those of the range it is compared with, `back` seconds earlier. Returns the words for a screen reader. */
  draw(answers, { state, window, range, now, before, back }) {
    this.#state = state;
    const place = dayZone(state.zone, window);
    const series = seriesOf(answers, state.names).map((line) => ({ ...line, hidden: state.hidden.includes(line.name) }));
    const words = EARLIER[state.compare]?.[0];
    const old = before.length ? earlier(seriesOf(before, state.names), back, words, Boolean(place)) : [];
    const places = new Map(series.map(({ name }, index) => [name, index]));
    const compared = old.map((line) => ({ ...line, place: places.get(line.name.slice(0, -words.length - 2)) })).filter(({ place: known }) => known !== undefined && !series[known].hidden);
    const title = titleOf(state, window);
    const unavailable = unavailableOf(answers);
    const empty = series.every((entry) => !entry.points.length) && !unavailable;
    this.busy(false);
    this.node.hidden = false;
    this.#title = title;
    this.title.textContent = title;
    this.chart.draw({ series: [...series, ...compared], ...range, zone: state.zone, now, ages: Boolean(state.last), sides: !state.scales, columns: ["sum", "count"].includes(state.operation) });
    this.table.draw({ series: [...series, ...compared], step: range.step, zone: state.zone, caption: title });
    const unknown = answers.flatMap((answer) => answer.unknown ?? []);
    const missing = new Set(unknown.map(({ name }) => name));
    this.#tell({ partial: answers.some((answer) => answer.complete === false), empty: empty && series.some(({ metric }) => !missing.has(metric)), tags: state.tags,
      long: LONG.includes(state.last), unknown, unavailable });
    const how = matchMedia("(pointer: coarse)").matches ? "Pinch the chart to zoom" : "Drag across the chart to zoom in";
    this.under.replaceChildren(this.#words(series, state, words), el("span", { class: "how" }, ` ${how}; go back in the browser to return.`));
    return empty ? "No data in this range" : `Chart drawn: ${title}`;
  }

  #words(series, state, words) {
    const part = series.some(({ points }) => points.some(({ partial }) => partial));
    return [`Times: ${zoneName(state.zone)}.`, state.last && "Up to now, asked again every 10 s.", state.compare && state.last !== "all" && `Dotted: ${words}.`,
      part && "Pale or dashed: a part of a window, which the range cuts or which has not ended."].filter(Boolean).join(" ");
  }

  #toggle(name) {
    const { hidden } = this.#state;
    this.change({ hidden: hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name] });
  }

  async #picture() {
    const blob = await picture(this.chart.shown, { title: this.#title, note: `${this.chart.span} · ${zoneName(this.#state.zone)}` });
    save(blob, fileName(this.#title, "png"));
  }

  /** The notes are redrawn only when their text changes, so that they keep the focus. */
  #tell(known) {
    const { partial, empty, long, tags, unknown, unavailable } = known;
    const text = JSON.stringify(known);
    if (text === this.#shown) return;
    this.#shown = text;
    const button = (label, to) => el("button", { type: "button", class: "quiet", onclick: () => { this.title.focus(); this.change(typeof to === "function" ? to() : to); } }, label);
    const other = (name, near) => this.#state.names.map((one) => (one === name ? near : one));
    const notes = [
      ...unknown.map(({ name, near }) => notice({ kind: "info", title: `There is no metric ${name}`,
        text: near.length ? "Did you mean one of these?" : "Nothing was recorded under this name, and no other name is like it." },
      ...near.map((one) => button(one, () => ({ names: other(name, one) }))))),
      partial && notice({ kind: "info", title: "This answer is not complete yet", text: "Some acknowledged points wait in the spill. They appear when the service has stored them." }),
      unavailable > 0 && notice({ kind: "info", title: `Percentiles are not available in ${unavailable} ${unavailable === 1 ? "window" : "windows"}`,
        text: "They hold a summary that came without a histogram. The chart leaves them out." }),
      empty && notice({ kind: "info", title: "No data in this range", text: tags ? "Nothing with these tags was recorded in this range. Choose other tags or a longer range." : "Nothing was recorded under this name in this range. Choose a longer range or another name." },
        !long && button("Look at the last 30 days", { last: "30d" }), tags && button("Without tags", { tags: "" })),
    ];
    this.note.replaceChildren(...notes.filter(Boolean));
  }
}

function titleOf({ names, operation, zone, tags, groupBy }, window) {
  const named = names.length > MOST_TITLED ? `${names.length} metrics` : names.join(", ");
  const per = `${PER[window] ?? window}${window === "1d" && !dayZone(zone, window) ? " (UTC)" : ""}`;
  const spread = (text) => text.replaceAll(",", ", ");
  return [`${spread(operation)} of ${named} per ${per}`, groupBy && `by ${spread(groupBy)}`, tags && `with ${spread(tags)}`].filter(Boolean).join(", ");
}
