/** An answer for a person: a title, a chart, a table and notes. */

import { Chart } from "./chart.js";
import { el, notice } from "./dom.js";
import { digits } from "./numbers.js";
import { seriesOf, unavailableOf } from "./question.js";
import { createTable } from "./table.js";
import { dayZone, zoneName } from "./time.js";

const PER = { "1m": "minute", "5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "1d": "day" };
const MOST_TITLED = 3;

/** `widen()` is called when a person wants a longer range, `rename(name, other)` when the other name was meant. */
export class Result {
  #shown = "";

  constructor({ widen, rename }) {
    Object.assign(this, { widen, rename });
    this.chart = new Chart({ label: "Chart of the metrics", text: digits });
    this.table = createTable();
    this.title = el("h2", { class: "what" });
    this.note = el("div");
    this.under = el("p", { class: "hint" });
    this.waiting = el("p", { class: "hint waiting", hidden: true }, "Asking the service…");
    this.node = el("div", { class: "card result", hidden: true }, this.title, this.note, this.chart.node, this.under, this.table.node);
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

  /** Draw an answer. Returns the words for a screen reader. */
  draw(answer, { state, window, range, now }) {
    const series = seriesOf(answer, state.names);
    const named = state.names.length > MOST_TITLED ? `${state.names.length} metrics` : state.names.join(", ");
    const title = `${state.operation.replaceAll(",", ", ")} of ${named} per ${PER[window] ?? window}${window === "1d" && !dayZone(state.zone, window) ? " (UTC)" : ""}`;
    const unavailable = unavailableOf(answer);
    const empty = series.every((entry) => !entry.points.length) && !unavailable;
    this.busy(false);
    this.node.hidden = false;
    this.title.textContent = title;
    this.chart.draw({ series, ...range, zone: state.zone, now, ages: Boolean(state.last), columns: ["sum", "count"].includes(state.operation) });
    this.table.draw({ series, step: range.step, zone: state.zone, caption: title });
    const unknown = answer.unknown ?? [];
    const missing = new Set(unknown.map(({ name }) => name));
    this.#tell({ partial: answer.complete === false, empty: empty && series.some(({ metric }) => !missing.has(metric)),
      widest: state.last === "7d", unknown, unavailable });
    const part = series.some(({ points }) => points.some(({ partial }) => partial));
    this.under.textContent = [`Times: ${zoneName(state.zone)}.`, state.last && "Up to now, asked again every 10 s.",
      part && "Pale or dashed: a part of a window, which the range cuts or which has not ended."].filter(Boolean).join(" ");
    return empty ? "No data in this range" : `Chart drawn: ${title}`;
  }

  /** The notes are redrawn only when their text changes, so that they keep the focus. */
  #tell(told) {
    const { partial, empty, widest, unknown, unavailable } = told;
    const text = JSON.stringify(told);
    if (text === this.#shown) return;
    this.#shown = text;
    const wider = !widest && el("button", { type: "button", class: "quiet", onclick: this.widen }, "Look at the last 7 days");
    const notes = [
      ...unknown.map(({ name, near }) => notice({ kind: "info", title: `There is no metric ${name}`,
        text: near.length ? "Did you mean one of these?" : "Nothing was recorded under this name, and no other name is like it." },
      ...near.map((other) => el("button", { type: "button", class: "quiet", onclick: () => this.rename(name, other) }, other)))),
      partial && notice({ kind: "info", title: "This answer is not complete yet", text: "Some acknowledged points wait in the spill. They appear when the service has stored them." }),
      unavailable > 0 && notice({ kind: "info", title: `Percentiles are not available in ${unavailable} ${unavailable === 1 ? "window" : "windows"}`,
        text: "They hold a summary that came without a histogram. The chart leaves them out." }),
      empty && notice({ kind: "info", title: "No data in this range", text: "Nothing was recorded under this name in this range. Choose a longer range or another name." }, wider),
    ];
    this.note.replaceChildren(...notes.filter(Boolean));
  }
}
