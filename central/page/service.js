/** The service's own rates: /metrics is read every two seconds while the page is visible, and the last minutes are drawn. */

import { patience, send } from "./api.js";
import { Chart } from "./chart.js";
import { el } from "./dom.js";
import { short } from "./numbers.js";
import { rate, samples, total } from "./prometheus.js";
import { zoneName } from "./time.js";

const STEP = 2;
const KEPT_SECONDS = 300;
const LEAST_SECONDS = 60;
const STALE_SECONDS = 20;
const PATIENCE_MS = 5_000;
const isApi = ({ route }) => route?.startsWith("/api/");
const WRITES = ["counter", "value", "batch"].map((kind) => `/api/metrics/${kind}`);
const isWriting = ({ route }) => WRITES.includes(route);
const isAsking = ({ route }) => route === "/api/metrics" || route === "/api/metrics/aggregate";
const status = (digit) => (labels) => isApi(labels) && labels.status.startsWith(digit);

/** The totals that are read. Each only grows. */
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
  { title: "Points stored per second", lines: { counters: (now) => now.counters, values: (now) => now.values } },
  { title: "Requests per second", lines: { writes: (now) => now.writes, queries: (now) => now.queries, admin: (now) => now.others } },
  { title: "Errors per second",
    lines: { "refused (4xx)": (now) => now.refused, "failed (5xx)": (now) => now.failed, "items rejected": (now) => now.rejected } },
  { title: "Mean time, in ms",
    lines: { "to an answer": (now) => mean(now.answering, now.answers), "of a commit": (now) => mean(now.committing, now.commits) } },
];

function mean(seconds, count) {
  return count ? (1000 * seconds) / count : null;
}

/** The part `service` of the page, and the sign in its header. */
export class Service {
  #rows = []; // {at, rates}
  #before = new Map(); // of each process that answered, by its start: its counts, when they were read, its rates

  constructor(host, { sign }) {
    const text = (value) => short(value, value < 10 ? 0.01 : 1);
    this.host = host;
    this.sign = sign;
    this.charts = CHARTS.map(({ title, lines }) => ({ title, lines, drawn: new Chart({ label: title, height: 150, text, least: 1 }) }));
    this.facts = el("dl", { class: "facts" });
    this.about = el("p", { class: "hint" });
    host.replaceChildren(el("h1", { id: "service-title" }, "The service itself"), el("div", { class: "card" }, this.facts),
      el("div", { class: "grid-of-charts" }, this.charts.map(({ title, drawn }) => el("div", { class: "card" }, el("h2", {}, title), drawn.node))),
      this.about);
  }

  /** Ask now, and at every even second while the page is visible. */
  async start() {
    const at = Math.floor(Date.now() / 1000 / STEP) * STEP;
    if (!document.hidden) {
      this.#rows = [...this.#rows.filter((row) => row.at > at - KEPT_SECONDS), { at, rates: await this.#ask() }];
      this.follow();
    }
    setTimeout(() => this.start(), STEP * 1000 - (Date.now() % (STEP * 1000)) + 20);
  }

  /** Draw what is known, if this part is shown. */
  follow() {
    if (!this.host.hidden && this.#rows.length > 0) this.#draw(this.#rows.at(-1).at);
  }

  /** Show the figures and the sign of the header. Returns the rates now; none without an answer. */
  async #ask() {
    try {
      const signal = patience(PATIENCE_MS);
      const [metrics, ready] = await Promise.all(["/metrics", "/ready"].map((path) => send({ path }, "", signal)));
      if (!metrics.ok) throw new Error(`/metrics answers ${metrics.status}`);
      const list = samples(metrics.text);
      this.#tell(ready, list);
      return together(this.#before, list, performance.now() / 1000);
    } catch (error) {
      this.#sign("no answer", "bad");
      this.#facts([["State", `No answer (${error.message}). Does the service run, and may /metrics be read from here?`]]);
      return {};
    }
  }

  #draw(at) {
    const end = at + STEP;
    const range = { start: Math.min(this.#rows[0].at, end - LEAST_SECONDS), end, step: STEP, zone: "local", now: end, fromZero: true };
    for (const { lines, drawn } of this.charts) {
      const series = Object.entries(lines).map(([name, read]) => ({
        name, unit: name, points: this.#rows.map((row) => ({ at: row.at, value: read(row.rates) })).filter((point) => Number.isFinite(point.value)),
      }));
      drawn.draw({ ...range, series });
    }
    this.about.textContent = `From /metrics every ${STEP} s since this page was opened, for ${KEPT_SECONDS / 60} minutes at most. Requests are those under /api. `
      + `If several processes share this address, the page adds up those that answered. Times: ${zoneName("local")}.`;
  }

  #tell(ready, list) {
    const said = ready.json ?? {};
    const word = typeof said.status === "string" ? said.status : `status ${ready.status}`;
    const build = list.find((sample) => sample.name === "fiesta_build_info")?.labels ?? {};
    const named = (name, told) => [name, name === "store" && build.store ? `${told} (${build.store})` : told];
    this.#sign(word, ready.ok ? (word === "ready" ? "good" : "middling") : "bad");
    this.#facts([["State", word], ...Object.entries(said.dependencies ?? {}).map(([name, told]) => named(name, told)),
      ["Waiting for a commit", total(list, "fiesta_requests_waiting")], ["In the spill", said.spill?.entries],
      ["Stored since the start", total(list, "fiesta_points_stored_total")], ["Version", build.version]]);
  }

  #facts(rows) {
    this.facts.replaceChildren(...rows.filter(([, value]) => value !== undefined)
      .map(([name, value]) => el("div", {}, el("dt", {}, name[0].toUpperCase() + name.slice(1)),
        el("dd", {}, typeof value === "number" ? value.toLocaleString("en") : String(value)))));
  }

  #sign(word, kind) {
    this.sign.dataset.kind = kind;
    this.sign.querySelector("#state-text").textContent = word[0].toUpperCase() + word.slice(1);
  }
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
