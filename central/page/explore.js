/** The view of metrics: it sends the question of the controls, draws the answer, shows faults, and asks again later. */

import { explain, followed, patience, send, unreachable } from "./api.js";
import { createCommand } from "./command.js";
import { Controls } from "./controls.js";
import { el, notice } from "./dom.js";
import { fileName, joinedCsv, save } from "./download.js";
import { backOf, between, fromHash, LISTED, MOST_LINES, rangeOf, requestsOf, toHash, windowOf } from "./question.js";
import { Result } from "./result.js";

const REFRESH_MS = 10_000;
const FIRST_LOOK_MS = 2_000;
const PATIENCE_MS = 20_000; // the service gives up after 10 s
const OLDEST_DAYS = 3_650; // "all" looks for data in so many days

/** The part `metrics` of the page. `spec` is the API's description: operations and windows are what it says. */
export class Explore {
  #timer = 0;
  #skew = 0; // the service's clock less this one's, in seconds: ranges end at its now
  #first = { names: "", at: 0 }; // where the data of these names begins
  #aborter = new AbortController();

  constructor(host, { spec, session, say, visible, first }) {
    const schema = (name) => spec.paths["/api/metrics/aggregate"].get.parameters.find((one) => one.name === name).schema;
    Object.assign(this, { session, say, visible, first, operations: schema("operation").examples, windows: schema("window").enum });
    this.state = fromHash(location.hash, this.operations, this.windows);
    this.controls = new Controls(this.state, {
      operations: this.operations, windows: this.windows, say, ask: (path, query) => this.#list(path, query),
      changed: (to) => this.#change(to), drawn: () => this.#asked(),
    });
    this.result = new Result({
      change: (to) => this.#change(to), move: (by) => this.#move(by), csv: () => this.#csv(),
      zoom: (from, to) => this.#change({ ...between(from, to, this.#now()), window: "" }),
    });
    this.command = createCommand({ session, say, label: "The curl for this chart" });
    this.made = el("div", { class: "card made", hidden: true }, this.command.node);
    this.trouble = el("div", { role: "alert" });
    this.whole = el("div", { hidden: true }, el("h1", { id: "metrics-title", class: "hidden" }, "Metrics"),
      this.controls.node, this.result.waiting, this.trouble, this.first, this.result.node, this.made);
    host.replaceChildren(this.whole);
    session.onChange(() => this.run());
  }

  /** This part is shown, or its address changed: ask what the address says. */
  follow() {
    if (location.hash.includes("?")) Object.assign(this.state, { cleared: false }, fromHash(location.hash, this.operations, this.windows));
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
    this.first.hidden = true;
    this.result.busy(!quiet);
    try {
      if (this.state.last === "all") await this.#findFirst();
      const { window, range } = this.#asked();
      this.controls.show();
      const requests = requestsOf(this.state, window, range);
      const back = backOf(this.state, range);
      this.made.hidden = false;
      this.command.show(requests.map((request) => ({ ...request, url: location.origin + request.path })));
      const [answers, before] = await Promise.all([this.#answers(requests), back ? this.#answers(requestsOf(this.state, window, range, back)) : []]);
      this.trouble.replaceChildren();
      const text = this.result.draw(answers, { state: this.state, window, range, now: this.#now(), before, back });
      if (!quiet) this.say(text);
      if (this.state.last) this.#again(REFRESH_MS);
    } catch (error) {
      if (error instanceof Refused) this.#fail(explain(error.reply, true), quiet);
      else if (error.name !== "AbortError") this.#fail(unreachable(), quiet);
    }
  }

  /** The answers to some requests, all or none. Throws Refused or Unreachable. */
  async #answers(requests) {
    const signal = patience(PATIENCE_MS, this.#aborter);
    const replies = await Promise.all(requests.map((request) => send(request, this.session.key, signal)));
    for (const reply of replies) {
      this.#learn(reply);
      if (!reply.ok) throw new Refused(reply);
    }
    return replies.map((reply) => reply.json);
  }

  /** Where the data of the names begins: the first day with any. Without data, a day ago. */
  async #findFirst() {
    const names = this.state.names.join(",");
    if (this.#first.names === names) return;
    const now = this.#now();
    const range = { start: Math.floor(now / 86_400 - OLDEST_DAYS) * 86_400, end: now + 1, step: 86_400 };
    const question = { ...this.state, operation: "count", last: "", from: range.start, to: range.end, zone: "utc", tags: "", groupBy: "" };
    const days = (await this.#answers(requestsOf(question, "1d", range))).flatMap(({ data }) => (Array.isArray(data) ? data : Object.values(data).flat()));
    const at = days.reduce((found, day) => Math.min(found, Date.parse(day.timestamp) / 1000), now - 86_400);
    this.#first = { names, at };
  }

  /** Without a name: use the first metric, or wait for one. If a person removed all names, they pick again. */
  async #start() {
    this.result.node.hidden = true;
    this.made.hidden = true;
    const address = location.hash;
    const listed = await this.#list(LISTED, [["limit", "1"]]);
    if (!listed || this.state.names.length || location.hash !== address) return; // a new address is asked by itself
    const [found] = listed.data;
    this.first.hidden = Boolean(found);
    if (!found) this.#again(FIRST_LOOK_MS);
    if (!found || this.state.cleared) return;
    const fitting = found.type === "value" ? "avg" : "sum";
    Object.assign(this.state, { names: [found.name], operation: this.state.chosen ? this.state.operation : fitting });
    this.run();
  }

  /** A list of the service. If it cannot be loaded: undefined, and the page shows why; a name that is not there has no tags. */
  async #list(path, query) {
    try {
      const reply = await send({ path, query }, this.session.key, patience(PATIENCE_MS));
      if (reply.ok) return reply.json;
      if (reply.status !== 404) this.#fail(explain(reply, Boolean(this.session.key)), true);
    } catch {
      this.#fail(unreachable(), true);
    }
    return undefined;
  }

  async #csv() {
    const { window, range } = this.#asked();
    const requests = requestsOf(this.state, window, range).map((request) => ({ ...request, headers: [["Accept", "text/csv"]] }));
    try {
      const replies = await Promise.all(requests.map((request) => send(request, this.session.key, patience(PATIENCE_MS))));
      const refused = replies.find((reply) => !reply.ok);
      if (refused) this.#fail(explain(refused, true), true);
      else save(new Blob([joinedCsv(replies.map(({ text }) => text))], { type: "text/csv" }), fileName(`${this.state.names.slice(0, 3).join("-")}-${this.state.operation}`, "csv"));
    } catch {
      this.#fail(unreachable(), true);
    }
  }

  /** Show the fault. An automatic refresh that fails leaves the chart as it is. */
  #fail(fault, quiet) {
    this.result.failed(quiet);
    const use = fault.fits && el("button", { type: "button", class: "quiet", onclick: () => {
      this.controls.width.focus();
      this.#change({ window: fault.fits });
    } }, `Use window ${fault.fits}`);
    this.trouble.replaceChildren(notice(followed(fault), use));
    if (fault.retry) this.#again(fault.retry * 1000);
  }

  #again(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.visible() && !document.hidden ? this.run({ quiet: true }) : this.#again(1000)), milliseconds);
  }

  /** A person changed the question. The browser's Back leads to the one before. */
  #change(to) {
    Object.assign(this.state, to);
    const address = toHash(this.state);
    if (this.visible() && address !== location.hash) history.pushState(null, "", address);
    this.run();
  }

  #move(by) {
    const { start, end } = this.#asked().range;
    const middle = (start + end) / 2;
    const half = (end - start) / 2;
    const [from, to] = { "-1": [start - half, end - half], 1: [start + half, end + half], in: [middle - half / 2, middle + half / 2], out: [middle - 2 * half, middle + 2 * half] }[by];
    const late = Math.max(0, to - this.#now()); // the range keeps its length at the end
    this.#change(between(from - late, to - late, this.#now()));
  }

  /** The window and the range that are asked; `fitting` is the window that fits by itself. */
  #asked() {
    const now = this.#now();
    const fitting = windowOf({ ...this.state, window: "" }, this.windows, this.#first.at, now);
    const window = this.state.window || fitting;
    return { fitting, window, range: rangeOf(this.state, window, now, this.#first.at) };
  }

  #now() {
    return Date.now() / 1000 + this.#skew;
  }

  #learn(reply) {
    const ahead = Date.parse(reply.headers.get("Date")) / 1000 - Date.now() / 1000;
    this.#skew = Math.abs(ahead) > 2 ? ahead : 0;
  }
}

/** The service answered, and did not do it. */
class Refused extends Error {
  constructor(reply) {
    super(`status ${reply.status}`);
    this.reply = reply;
  }
}

function tooManyLines(lines) {
  return { title: "Too many lines for one chart", text: `${lines} lines would be drawn, one per metric, operation and group; at most ${MOST_LINES} can be read. Take metrics or operations away.` };
}
