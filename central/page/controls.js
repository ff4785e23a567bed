/** The controls of the metrics view. They write a person's choice into the question and report the change. */

import { choice, el, field } from "./dom.js";
import { Picker } from "./picker.js";
import { LASTS, windowOf } from "./question.js";
import { fromControl, toControl } from "./time.js";

const PERCENTILES = "p50,p95,p99";

/**
 * `state` is the question. `ask(query)` lists metrics, `changed()` is called after a change, `drawn()` is the range
 * that is drawn now: a custom one starts with it.
 */
export class Controls {
  constructor(state, { operations, windows, ask, say, changed, drawn }) {
    Object.assign(this, { state, operations, windows, changed, drawn });
    this.picker = new Picker({ ask, say, changed: (names) => this.#set({ names, cleared: !names.length }) });
    this.operation = choice("Operation", "operation", [...operations.map((word) => [word, word]), ["", "Other"]], state.operation,
      (operation) => this.#set({ operation: operation || PERCENTILES, chosen: true }));
    this.others = el("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "none",
      onchange: () => this.#set({ operation: this.others.value.replaceAll(/\s+/g, "") || operations[0], chosen: true }) });
    this.several = el("div", { class: "between" }, field("Operations", this.others, "With commas between, such as avg,p90,p99.9. Any pN from p0 to p100."));
    this.tags = this.#text("tags", "env:prod, host:web-*");
    this.groupBy = this.#text("groupBy", "endpoint");
    this.series = el("div", { class: "between" }, field("Tags", this.tags), field("Group by", this.groupBy));
    this.range = choice("Range", "range", [...Object.keys(LASTS).map((word) => [word, word]), ["", "Custom"]], state.last,
      (last) => this.#set(last ? { last } : this.#custom()));
    this.zone = choice("Times", "zone", [["local", "Local"], ["utc", "UTC"]], state.zone, (zone) => this.#set({ zone }));
    this.auto = el("option", { value: "" }, "Auto");
    this.width = el("select", { onchange: () => this.#set({ window: this.width.value }) }, this.auto,
      windows.map((word) => el("option", { value: word }, word)));
    this.from = el("input", { type: "datetime-local", onchange: () => this.#edge("from") });
    this.to = el("input", { type: "datetime-local", onchange: () => this.#edge("to") });
    this.between = el("div", { class: "between" }, field("From", this.from), field("To", this.to));
    this.node = el("div", { class: "card controls" }, this.picker.node,
      el("div", { class: "row wrap" }, this.operation.node, this.range.node, field("Window", this.width), this.zone.node),
      this.several, this.series, this.between);
  }

  /** Show what the question is now. */
  show() {
    const { state } = this;
    const offered = this.operations.includes(state.operation);
    this.operation.choose(offered ? state.operation : "");
    this.several.hidden = offered;
    this.others.value = state.operation;
    this.picker.node.classList.toggle("unmarked", state.operation.includes(",") || state.groupBy !== "");
    this.tags.value = state.tags;
    this.groupBy.value = state.groupBy;
    this.range.choose(state.last);
    this.zone.choose(state.zone);
    this.picker.show(state.names);
    this.width.value = state.window;
    this.auto.textContent = `Auto (${windowOf({ ...state, window: "" }, this.windows)})`;
    this.between.hidden = state.last !== "";
    this.from.value = state.from ? toControl(state.from, state.zone) : "";
    this.to.value = state.to ? toControl(state.to, state.zone) : "";
  }

  #text(name, placeholder) {
    const input = el("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "none", placeholder,
      onchange: () => this.#set({ [name]: input.value.replaceAll(/\s*,\s*/g, ",").trim() }) });
    return input;
  }

  #custom() {
    const { start, end } = this.drawn();
    return { last: "", from: start, to: end };
  }

  #edge(name) {
    const seconds = fromControl(this[name].value, this.state.zone);
    if (Number.isFinite(seconds)) this.#set({ [name]: seconds });
  }

  #set(to) {
    Object.assign(this.state, to);
    this.changed();
  }
}
