/** The controls of the metrics view. They write a person's choice into the question and report the change. */

import { choice, el, field } from "./dom.js";
import { pickGroups, pickNames, pickTags } from "./picker.js";
import { EARLIER, LASTS } from "./question.js";
import { fromControl, toControl } from "./time.js";

const PERCENTILES = "p50,p95,p99";

/**
 * `state` is the question. `ask(path, query)` reads lists, `changed(to)` is called with what a person changed, `drawn()` is the
 * window and the range that are drawn now: a custom one starts with them.
 */
export class Controls {
  constructor(state, { operations, windows, ask, say, changed, drawn }) {
    Object.assign(this, { state, operations, changed, drawn });
    const names = () => state.names;
    this.picker = pickNames({ ask, say, changed: (list) => changed({ names: list, cleared: !list.length, hidden: [] }) });
    this.operation = choice("Operation", "operation", [...operations.map((word) => [word, word]), ["", "Other"]], state.operation,
      (operation) => changed({ operation: operation || PERCENTILES, chosen: true, hidden: [] }));
    this.others = el("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "none",
      onchange: () => changed({ operation: this.others.value.replaceAll(/\s+/g, "") || operations[0], chosen: true, hidden: [] }) });
    this.several = el("div", { class: "between" }, field("Operations", this.others, "With commas between, such as avg,p90,p99.9. Any pN from p0 to p100."));
    this.tags = pickTags({ ask, say, names, changed: (list) => changed({ tags: list.join(","), hidden: [] }) });
    this.groupBy = pickGroups({ ask, say, names, changed: (list) => changed({ groupBy: list.join(","), hidden: [] }) });
    this.series = el("div", { class: "halves" }, this.tags.node, this.groupBy.node);
    const title = (word) => (word === "all" ? "All" : word);
    this.range = choice("Range", "range", [...Object.keys(LASTS).map((word) => [word, title(word)]), ["", "Custom"]], state.last,
      (last) => changed(last ? { last } : this.#custom()));
    this.zone = choice("Times", "zone", [["local", "Local"], ["utc", "UTC"]], state.zone, (zone) => changed({ zone }));
    this.auto = el("option", { value: "" }, "Auto");
    this.width = el("select", { onchange: () => changed({ window: this.width.value }) }, this.auto,
      windows.map((word) => el("option", { value: word }, word)));
    this.compare = el("select", { onchange: () => changed({ compare: this.compare.value }) }, el("option", { value: "" }, "Nothing"),
      Object.entries(EARLIER).map(([word, [words]]) => el("option", { value: word }, words[0].toUpperCase() + words.slice(1))));
    this.scales = el("select", { onchange: () => changed({ scales: this.scales.value }) },
      el("option", { value: "" }, "One or two"), el("option", { value: "one" }, "One"));
    this.from = el("input", { type: "datetime-local", onchange: () => this.#edge("from") });
    this.to = el("input", { type: "datetime-local", onchange: () => this.#edge("to") });
    this.between = el("div", { class: "between" }, field("From", this.from), field("To", this.to));
    this.node = el("div", { class: "card controls" }, this.picker.node,
      el("div", { class: "row wrap" }, this.operation.node, this.range.node), this.several, this.between,
      el("div", { class: "row wrap" }, field("Window", this.width), field("Compare with", this.compare), field("Scales", this.scales), this.zone.node),
      this.series);
  }

  /** Show what the question is now. */
  show() {
    const { state } = this;
    const offered = this.operations.includes(state.operation);
    this.operation.choose(offered ? state.operation : "");
    this.several.hidden = offered;
    this.others.value = state.operation;
    this.picker.node.classList.toggle("unmarked", state.operation.includes(",") || state.groupBy !== "");
    this.tags.show(state.tags.split(",").filter(Boolean));
    this.groupBy.show(state.groupBy.split(",").filter(Boolean));
    this.series.hidden = !state.names.length;
    this.range.choose(state.last);
    this.zone.choose(state.zone);
    this.picker.show(state.names);
    this.width.value = state.window;
    this.auto.textContent = `Auto (${this.drawn().fitting})`;
    this.compare.value = state.compare;
    this.compare.disabled = state.last === "all";
    this.scales.value = state.scales;
    this.between.hidden = state.last !== "";
    this.from.value = state.from ? toControl(state.from, state.zone) : "";
    this.to.value = state.to ? toControl(state.to, state.zone) : "";
  }

  #custom() {
    const { range } = this.drawn();
    return { last: "", from: range.start, to: range.end };
  }

  #edge(name) {
    const seconds = fromControl(this[name].value, this.state.zone);
    if (Number.isFinite(seconds)) this.changed({ [name]: seconds });
  }
}
