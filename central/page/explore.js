/** The view of metrics: it sends the question of the controls, draws the answer, shows faults, and asks again later. */

import { explain, patience, send, unreachable } from "./api.js";
import { createCommand, fixedCommand } from "./command.js";
import { Controls } from "./controls.js";
import { el, notice } from "./dom.js";
import { aggregateRequest, fromHash, LISTED, MOST_LINES, rangeOf, toHash, windowOf } from "./question.js";
import { Result } from "./result.js";

const REFRESH_MS = 10_000;
const FIRST_LOOK_MS = 2_000;
const PATIENCE_MS = 20_000; // the service gives up after 10 s

/** The part `metrics` of the page. `spec` is the API's description: operations and windows are what it says. */
export class Explore {
  #timer = 0;
  #skew = 0; // the service's clock less this one's, in seconds: ranges end at its now
  #aborter = new AbortController();

  constructor(host, { spec, session, say, visible }) {
    const schema = (name) => spec.paths["/api/metrics/aggregate"].get.parameters.find((one) => one.name === name).schema;
    Object.assign(this, { session, say, visible, operations: schema("operation").examples, windows: schema("window").enum });
    this.state = fromHash(location.hash, this.operations, this.windows);
    this.controls = new Controls(this.state, {
      operations: this.operations, windows: this.windows, say, ask: (query) => this.#list(query),
      changed: () => this.run(), drawn: () => this.#asked().range,
    });
    this.result = new Result({
      widen: () => this.#change({ last: "7d" }),
      rename: (name, other) => this.#change({ names: this.state.names.map((one) => (one === name ? other : one)) }),
    });
    this.command = createCommand({ session, say, label: "The curl for this chart" });
    this.made = el("div", { class: "card made", hidden: true }, this.command.node);
    this.trouble = el("div", { role: "alert" });
    this.first = howToStart(say);
    this.whole = el("div", { hidden: true }, el("h1", { id: "metrics-title", class: "hidden" }, "Metrics"),
      this.controls.node, this.result.waiting, this.trouble, this.first, this.result.node, this.made);
    host.replaceChildren(this.whole);
    session.onChange(() => this.run());
  }

  /** This part is shown, or its address changed: ask what the address says. */
  follow() {
    if (location.hash.includes("?")) Object.assign(this.state, fromHash(location.hash, this.operations, this.windows));
    this.run();
  }

  /** Ask and draw; `quiet` when no person asked for it. */
  async run({ quiet = false } = {}) {
    clearTimeout(this.#timer);
    this.#aborter.abort();
    this.#aborter = new AbortController();
    this.whole.hidden = !this.session.key;
    if (!this.session.key) return;
    this.controls.show();
    if (!quiet) this.trouble.replaceChildren();
    if (this.visible()) history.replaceState(null, "", toHash(this.state));
    const lines = this.state.names.length * this.state.operation.split(",").length * (this.state.groupBy ? 2 : 1);
    if (lines > MOST_LINES) this.#fail(tooManyLines(lines), false);
    else if (this.state.names.length) await this.#query(quiet);
    else await this.#start();
  }

  async #query(quiet) {
    const { window, range } = this.#asked();
    const request = aggregateRequest(this.state, window, range);
    this.first.hidden = true;
    this.made.hidden = false;
    this.command.show({ ...request, url: location.origin + request.path });
    this.result.busy(!quiet);
    let reply;
    try {
      reply = await send(request, this.session.key, patience(PATIENCE_MS, this.#aborter));
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(unreachable(), quiet);
      return;
    }
    this.#learn(reply);
    if (!reply.ok) {
      this.#fail(explain(reply, true), quiet);
      return;
    }
    this.trouble.replaceChildren();
    const text = this.result.draw(reply.json, { state: this.state, window, range, now: this.#now() });
    if (!quiet) this.say(text);
    if (this.state.last) this.#again(REFRESH_MS);
  }

  /** Without a name: use the first metric, or wait for one. If a person removed all names, they pick again. */
  async #start() {
    this.result.node.hidden = true;
    this.made.hidden = true;
    const listed = await this.#list([["limit", "1"]]);
    if (!listed || this.state.names.length) return;
    const [found] = listed.data;
    this.first.hidden = Boolean(found);
    if (!found) this.#again(FIRST_LOOK_MS);
    if (!found || this.state.cleared) return;
    const fitting = found.type === "value" ? "avg" : "sum";
    this.#change({ names: [found.name], operation: this.state.chosen ? this.state.operation : fitting });
  }

  /** The list of metrics. If it cannot be loaded: undefined, and the page shows why. */
  async #list(query) {
    try {
      const reply = await send({ path: LISTED, query }, this.session.key, patience(PATIENCE_MS));
      if (reply.ok) return reply.json;
      this.#fail(explain(reply, Boolean(this.session.key)), true);
    } catch {
      this.#fail(unreachable(), true);
    }
    return undefined;
  }

  /** Show the fault. An automatic refresh that fails leaves the chart as it is. */
  #fail(fault, quiet) {
    this.result.failed(quiet);
    const use = fault.fits && el("button", { type: "button", class: "quiet", onclick: () => this.#change({ window: fault.fits }) },
      `Use window ${fault.fits}`);
    const text = fault.retry ? `${fault.text} This page asks again by itself.` : fault.text;
    this.trouble.replaceChildren(notice({ ...fault, text }, use));
    if (fault.retry) this.#again(fault.retry * 1000);
  }

  #again(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.visible() && !document.hidden ? this.run({ quiet: true }) : this.#again(1000)), milliseconds);
  }

  #change(to) {
    Object.assign(this.state, to);
    this.run();
  }

  #asked() {
    const window = windowOf(this.state, this.windows);
    return { window, range: rangeOf(this.state, window, this.#now()) };
  }

  #now() {
    return Date.now() / 1000 + this.#skew;
  }

  #learn(reply) {
    const ahead = Date.parse(reply.headers.get("Date")) / 1000 - Date.now() / 1000;
    this.#skew = Math.abs(ahead) > 2 ? ahead : 0;
  }
}

function tooManyLines(lines) {
  return { title: "Too many lines for one chart", text: `${lines} lines would be drawn, one per metric, operation and group; at most ${MOST_LINES} can be told apart. Take metrics or operations away.` };
}

/** What to do while the service has no metrics. */
function howToStart(say) {
  return el("div", { class: "card first", hidden: true }, el("h2", {}, "Nothing has been counted yet"),
    el("p", {}, "Send a metric to the agent. This page shows it within 10 seconds:"),
    fixedCommand(".venv/bin/fiesta-agent send 'foo:1|c'", say),
    el("p", {}, "Or send it with any tool:"),
    fixedCommand("echo 'foo:1|c' | nc -u -w1 127.0.0.1 8125", say),
    el("p", {}, el("a", { href: "#api/recordCounter" }, "Or try it here: send a counter over REST")));
}
