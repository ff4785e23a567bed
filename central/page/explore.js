/** The quick look: names, operation, window and range in, a chart, its table and the curl that makes it out. */

import { explain, send, unreachable } from "./api.js";
import { createChart } from "./chart.js";
import { createCommand, fixedCommand } from "./command.js";
import { choice, el, field, notice } from "./dom.js";
import { digits } from "./numbers.js";
import { createPicker } from "./picker.js";
import { aggregateRequest, fromHash, LASTS, LISTED, rangeOf, seriesOf, toHash, windowOf } from "./question.js";
import { createTable } from "./table.js";
import { fromControl, toControl, zoneName } from "./time.js";

const REFRESH_MS = 10_000;
const FIRST_LOOK_MS = 2_000;
const PER = { "1m": "minute", "5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "1d": "day (UTC)" };

/** Draws into `host`. `spec` is the API's description: operations and windows are what it says. */
export function showExplore(host, { spec, session, say, visible }) {
  const parameters = spec.paths["/api/metrics/aggregate"].get.parameters;
  const allowed = (name) => parameters.find((parameter) => parameter.name === name).schema.enum;
  const state = fromHash(location.hash, allowed("operation"), allowed("window"));
  let timer = 0;
  let skew = 0; // the service's clock less this one's, in seconds: ranges end at its now
  let aborter = new AbortController();
  const now = () => Date.now() / 1000 + skew;
  const minute = () => Math.floor(now() / 60) * 60;

  const ask = async (query) => {
    try {
      const reply = await send({ path: LISTED, query }, session.key);
      if (!reply.ok) fail(explain(reply, Boolean(session.key)), true);
      return reply.ok ? reply.json : undefined;
    } catch {
      fail(unreachable(), true);
      return undefined;
    }
  };
  const picker = createPicker({ ask, say, changed: (names) => { state.names = names; state.cleared = !names.length; run(); } });
  const change = (name) => (value) => { state[name] = value; run(); };
  const operation = choice("Operation", "operation", allowed("operation").map((word) => [word, word]), state.operation, (value) => {
    state.chosen = true;
    change("operation")(value);
  });
  const auto = el("option", { value: "" }, "Auto");
  const width = el("select", { onchange: () => change("window")(width.value) }, auto,
    allowed("window").map((word) => el("option", { value: word }, word)));
  const range = choice("Range", "range", [...Object.keys(LASTS).map((word) => [word, word]), ["", "Custom"]], state.last, (value) => {
    if (!value && !state.from) [state.from, state.to] = [minute() - LASTS[state.last || "1h"], minute()];
    change("last")(value);
  });
  const from = el("input", { type: "datetime-local", onchange: () => edge("from", from) });
  const to = el("input", { type: "datetime-local", onchange: () => edge("to", to) });
  const between = el("div", { class: "between" }, field("From", from), field("To", to));
  const zone = choice("Times", "zone", [["local", "Local"], ["utc", "UTC"]], state.zone, change("zone"));
  const edge = (name, control) => {
    const seconds = fromControl(control.value, state.zone);
    if (Number.isFinite(seconds)) change(name)(seconds);
  };

  const chart = createChart({ label: "Chart of the metrics", text: digits });
  const title = el("h2", { class: "what" });
  const under = el("p", { class: "hint" });
  const trouble = el("div", { role: "alert" });
  const note = el("div");
  const table = createTable();
  const command = createCommand({ session, say, label: "The curl that makes it" });
  const result = el("div", { class: "card result", hidden: true }, title, note, chart.node, under, table.node);
  const made = el("div", { class: "card made", hidden: true }, command.node);
  const first = el("div", { class: "card first", hidden: true }, el("h2", {}, "Nothing has been counted yet"),
    el("p", {}, "Send something; this page shows it as soon as it is there. To the agent, with its answer within 10 seconds:"),
    fixedCommand(".venv/bin/fiesta-agent send 'foo:1|c'", say), el("p", {}, "The same with any tool, and straight to the service:"),
    fixedCommand("echo 'foo:1|c' | nc -u -w1 127.0.0.1 8125", say), el("p", {}, el("a", { href: "#api/recordCounter" }, "Or try it here: count something over REST")));
  const whole = el("div", { hidden: true }, el("h1", { id: "metrics-title", class: "hidden" }, "Metrics"), el("div", { class: "card controls" }, picker.node,
    el("div", { class: "row wrap" }, operation.node, range.node, field("Window", width), zone.node), between), trouble, first, result, made);
  host.replaceChildren(whole);

  function settle(clear = true) {
    operation.choose(state.operation);
    range.choose(state.last);
    picker.show(state.names);
    between.hidden = state.last !== "";
    width.value = state.window;
    auto.textContent = `Auto (${windowOf({ ...state, window: "" }, allowed("window"), now())})`;
    from.value = state.from ? toControl(state.from, state.zone) : "";
    to.value = state.to ? toControl(state.to, state.zone) : "";
    if (clear) trouble.replaceChildren();
    if (visible()) history.replaceState(null, "", toHash(state));
  }

  /** Ask and draw; `quiet` when no person asked for it. */
  async function run({ quiet = false } = {}) {
    clearTimeout(timer);
    aborter.abort();
    aborter = new AbortController();
    whole.hidden = !session.key;
    if (!session.key) return;
    settle(!quiet);
    if (!state.names.length) return start();
    first.hidden = true;
    const window = windowOf(state, allowed("window"), now());
    const asked = rangeOf(state, window, now());
    const request = aggregateRequest(state, window, asked);
    command.show({ ...request, url: location.origin + request.path });
    made.hidden = false;
    result.toggleAttribute("aria-busy", !quiet);
    let reply;
    try {
      reply = await send(request, session.key, aborter.signal);
    } catch (error) {
      if (error.name !== "AbortError") fail(unreachable(), quiet);
      return;
    }
    result.removeAttribute("aria-busy");
    learn(reply);
    if (reply.ok) draw(reply.json, window, asked, quiet);
    else fail(explain(reply, true), quiet);
  }

  /** No name yet: take the first one there is, or wait for the first. A person who took all names away picks again. */
  async function start() {
    result.hidden = true;
    made.hidden = true;
    const listed = await ask([["limit", "1"]]);
    if (!listed || state.names.length) return;
    const [found] = listed.data;
    first.hidden = Boolean(found);
    if (!found) again(FIRST_LOOK_MS);
    if (!found || state.cleared) return;
    if (!state.chosen) state.operation = found.type === "value" ? "avg" : "sum";
    state.names = [found.name];
    run();
  }

  function draw(answer, window, asked, quiet) {
    trouble.replaceChildren();
    result.hidden = false;
    const series = seriesOf(answer, state.names);
    title.textContent = `${state.operation} of ${state.names.length > 3 ? `${state.names.length} metrics` : state.names.join(", ")} per ${PER[window] ?? window}`;
    chart.draw({ series, ...asked, zone: state.zone, now: now(), columns: ["sum", "count"].includes(state.operation) });
    table.draw({ series, step: asked.step, zone: state.zone, caption: title.textContent });
    const empty = series.every((entry) => !entry.points.length);
    const told = `${answer.complete} ${empty} ${state.last}`;
    if (note.dataset.told !== told) note.replaceChildren(...notes(answer, empty)); // a focus in it stays
    note.dataset.told = told;
    under.textContent = `Times: ${zoneName(state.zone)}. ${state.last ? "Up to now, asked again every 10 s." : ""}`;
    if (!quiet) say(empty ? "No data in this range" : `Chart drawn: ${title.textContent}`);
    if (state.last) again(REFRESH_MS);
  }

  function notes(answer, empty) {
    const shown = [];
    if (answer.complete === false) {
      shown.push(notice({ kind: "info", title: "Not all is in yet", text: "Points that were acknowledged wait in the spill; they come in as it is drained." }));
    }
    if (empty) {
      const wider = el("button", { type: "button", class: "quiet", onclick: () => { state.last = "7d"; run(); } }, "Look at the last 7 days");
      shown.push(notice({ kind: "info", title: "No data in this range", text: "Nothing was recorded under this name here. Look wider, or pick another name." }, state.last !== "7d" && wider));
    }
    return shown;
  }

  /** Say what went wrong. A chart that was drawn stays where nobody asked for another. */
  function fail(fault, quiet = false) {
    result.removeAttribute("aria-busy");
    result.hidden ||= !quiet;
    const use = fault.fits && el("button", { type: "button", class: "quiet", onclick: () => { state.window = fault.fits; run(); } }, `Use window ${fault.fits}`);
    trouble.replaceChildren(notice(fault, use));
    if (fault.retry) again(fault.retry * 1000);
  }

  function again(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(() => (visible() && !document.hidden ? run({ quiet: true }) : again(1000)), milliseconds);
  }

  function learn(reply) {
    const told = Date.parse(reply.headers.get("Date")) / 1000;
    skew = Math.abs(told - Date.now() / 1000) > 2 ? told - Date.now() / 1000 : 0;
  }

  session.onChange(() => run());
  return {
    /** This part is shown, or its address changed: ask what the address says. */
    follow: () => {
      if (location.hash.includes("?")) Object.assign(state, fromHash(location.hash, allowed("operation"), allowed("window")));
      zone.choose(state.zone);
      run();
    },
  };
}
