/** The service's own rates: /metrics asked every two seconds while the page is looked at, the last minutes drawn. */

import { send } from "./api.js";
import { createChart } from "./chart.js";
import { el } from "./dom.js";
import { short } from "./numbers.js";
import { rate, samples, total } from "./prometheus.js";
import { zoneName } from "./time.js";

const STEP = 2;
const KEPT = 150;
const LEAST_SECONDS = 60;
const STALE_SECONDS = 20;
const isApi = ({ route }) => route?.startsWith("/api/");
const WRITES = ["counter", "value", "batch"].map((kind) => `/api/metrics/${kind}`);
const isWriting = ({ route }) => WRITES.includes(route);
const isAsking = ({ route }) => route === "/api/metrics" || route === "/api/metrics/aggregate";
const status = (digit) => (labels) => isApi(labels) && labels.status.startsWith(digit);

/** What is counted: each reads a total that only grows. */
const COUNTERS = {
  counters: (list) => total(list, "fiesta_points_stored_total", ({ type }) => type === "counter"),
  values: (list) => total(list, "fiesta_points_stored_total", ({ type }) => type === "value"),
  writes: (list) => total(list, "fiesta_requests_total", isWriting) ?? 0,
  queries: (list) => total(list, "fiesta_requests_total", isAsking) ?? 0,
  others: (list) => total(list, "fiesta_requests_total", (labels) => isApi(labels) && !isWriting(labels) && !isAsking(labels)) ?? 0,
  refused: (list) => total(list, "fiesta_requests_total", status("4")) ?? 0,
  failed: (list) => total(list, "fiesta_requests_total", status("5")) ?? 0,
  rejected: (list) => total(list, "fiesta_items_rejected_total") ?? 0,
  commits: (list) => total(list, "fiesta_commit_seconds_count"),
  committing: (list) => total(list, "fiesta_commit_seconds_sum"),
  answers: (list) => total(list, "fiesta_request_seconds_count", isApi) ?? 0,
  answering: (list) => total(list, "fiesta_request_seconds_sum", isApi) ?? 0,
};

const CHARTS = [
  { title: "Points stored, a second", least: 1, lines: { counters: (now) => now.counters, values: (now) => now.values } },
  { title: "Requests, a second", least: 1, lines: { writes: (now) => now.writes, queries: (now) => now.queries, admin: (now) => now.others } },
  { title: "Errors, a second", least: 1,
    lines: { "refused (4xx)": (now) => now.refused, "failed (5xx)": (now) => now.failed, "items rejected": (now) => now.rejected } },
  { title: "Mean time, in ms", least: 1,
    lines: { "to an answer": (now) => mean(now.answering, now.answers), "of a commit": (now) => mean(now.committing, now.commits) } },
];

function mean(seconds, count) {
  return count ? (1000 * seconds) / count : null;
}

/** Draws into `host` and into the header's sign. */
export function showService(host, { sign }) {
  let rows = []; // {at, rates}
  const before = new Map(); // of each process that answered, by its start: its counts, when they were read, its rates
  const text = (value) => short(value, value < 10 ? 0.01 : 1);
  const charts = CHARTS.map((chart) => ({ ...chart, drawn: createChart({ label: chart.title, height: 150, text, least: chart.least }) }));
  const state = el("dl", { class: "facts" });
  const about = el("p", { class: "hint" });
  host.replaceChildren(el("h1", { id: "service-title" }, "The service itself"), el("div", { class: "card" }, state),
    el("div", { class: "grid-of-charts" }, charts.map((chart) => el("div", { class: "card" }, el("h2", {}, chart.title), chart.drawn.node))), about);

  async function poll() {
    const at = Math.floor(Date.now() / 1000 / STEP) * STEP;
    if (!document.hidden) {
      try {
        const [metrics, ready] = await Promise.all([send({ path: "/metrics" }), send({ path: "/ready" })]);
        if (!metrics.ok) throw new Error(`/metrics answers ${metrics.status}`);
        const list = samples(metrics.text);
        rows.push({ at, rates: together(before, list, performance.now() / 1000) });
        tell(ready, list);
      } catch (error) {
        rows.push({ at, rates: {} });
        unknown(error);
      }
      rows = rows.filter((row) => row.at > at - KEPT * STEP);
      draw(at);
    }
    setTimeout(poll, STEP * 1000 - (Date.now() % (STEP * 1000)) + 20);
  }

  function draw(at) {
    const oldest = Math.min(rows[0].at, at + STEP - LEAST_SECONDS);
    const span = { start: oldest, end: at + STEP, step: STEP, zone: "local", now: at + STEP, fromZero: true };
    for (const { lines, drawn } of charts) {
      const series = Object.entries(lines).map(([name, read]) => ({
        name, points: rows.map((row) => ({ at: row.at, value: read(row.rates) })).filter((point) => Number.isFinite(point.value)),
      }));
      drawn.draw({ ...span, series });
    }
    about.textContent = `The last ${(KEPT * STEP) / 60} minutes since this page was opened, from /metrics every ${STEP} s, of the API alone. `
      + `Of several processes behind one address, those that answered are added up. Times: ${zoneName("local")}.`;
  }

  function tell(ready, list) {
    const said = ready.json ?? {};
    const word = typeof said.status === "string" ? said.status : `status ${ready.status}`;
    setSign(word, ready.ok ? (word === "ready" ? "good" : "middling") : "bad");
    const build = list.find((sample) => sample.name === "fiesta_build_info")?.labels ?? {};
    const facts = [["State", word], ...Object.entries(said.dependencies ?? {}).map(([name, told]) => [name, name === "store" && build.store ? `${told} (${build.store})` : told]),
      ["Waiting for a commit", total(list, "fiesta_requests_waiting")], ["In the spill", said.spill?.entries],
      ["Stored since the start", total(list, "fiesta_points_stored_total")], ["Version", build.version]];
    state.replaceChildren(...facts.filter(([, value]) => value !== undefined)
      .map(([name, value]) => el("div", {}, el("dt", {}, name[0].toUpperCase() + name.slice(1)),
        el("dd", {}, typeof value === "number" ? value.toLocaleString("en") : String(value)))));
  }

  function unknown(error) {
    setSign("no answer", "bad");
    state.replaceChildren(el("div", {}, el("dt", {}, "State"), el("dd", {}, `No answer (${error.message}). Does the service run, and may /metrics be read from here?`)));
  }

  function setSign(word, kind) {
    sign.dataset.kind = kind;
    sign.querySelector("#state-text").textContent = word[0].toUpperCase() + word.slice(1);
  }
  poll();
}

/** The rates of all processes that answered lately, added up; `before` remembers each. */
function together(before, list, now) {
  const process = total(list, "process_start_time_seconds");
  const counts = Object.fromEntries(Object.entries(COUNTERS).map(([name, read]) => [name, read(list)]));
  const last = before.get(process);
  const rates = last && Object.fromEntries(Object.keys(counts).map((name) => [name, rate(last.counts[name], counts[name], now - last.now)]));
  before.set(process, { counts, now, rates });
  const sums = {};
  for (const [other, known] of before) {
    if (now - known.now > STALE_SECONDS) before.delete(other);
    for (const [name, value] of Object.entries(known.rates ?? {})) if (value !== null) sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}
