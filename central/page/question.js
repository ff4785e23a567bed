/** A person's question, without the page. It is kept in the address, becomes a request, and the answer becomes series. */

import { dayZone, iso, midnight, WINDOW_SECONDS } from "./time.js";
import { MOST_NAMES } from "./picker.js";

export const AGGREGATE = "/api/metrics/aggregate";
export const LISTED = "/api/metrics";
/** Ranges that end now, in seconds. */
export const LASTS = { "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800 };
const MOST_WINDOWS = 180;

/** What an address says, as far as it makes sense: names, operation, window ("" chooses), last ("" is from-to), zone. */
export function fromHash(hash, operations, windows) {
  const said = new URLSearchParams(hash.split("?")[1] ?? "");
  const oneOf = (name, known, otherwise) => (known.includes(said.get(name)) ? said.get(name) : otherwise);
  const [from, to] = ["from", "to"].map((name) => Math.ceil(Date.parse(said.get(name)) / 1000) || 0);
  return {
    names: (said.get("name") ?? "").split(",").filter(Boolean).slice(0, MOST_NAMES),
    operation: oneOf("operation", operations, operations[0]),
    chosen: operations.includes(said.get("operation")),
    window: oneOf("window", windows, ""),
    last: from && to ? "" : oneOf("last", Object.keys(LASTS), "1h"),
    from, to,
    zone: oneOf("zone", ["utc"], "local"),
  };
}

/** The address of a question. No key is ever in it. */
export function toHash({ names, operation, window, last, from, to, zone }) {
  const said = new URLSearchParams();
  if (names.length) said.set("name", names.join(","));
  if (names.length) said.set("operation", operation);
  if (window) said.set("window", window);
  if (last && last !== "1h") said.set("last", last);
  if (!last) {
    said.set("from", iso(from));
    said.set("to", iso(to));
  }
  if (zone === "utc") said.set("zone", zone);
  const text = said.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `#metrics?${text}` : "#metrics";
}

/** The window asked for. Without one: the finest that gives a readable chart. */
export function windowOf({ window, last, from, to }, windows) {
  if (window) return window;
  const span = last ? LASTS[last] : to - from;
  return windows.find((word) => span / WINDOW_SECONDS[word] <= MOST_WINDOWS) ?? windows.at(-1);
}

/** The range that is asked and drawn, in seconds: whole windows, with the one that is open now. */
export function rangeOf({ last, from, to, zone }, window, now) {
  const step = WINDOW_SECONDS[window];
  if (dayZone(zone, window)) {
    if (!last) return { start: midnight(from), end: midnight(Math.max(to, from + 1) - 1, 1), step };
    return { start: midnight(now, 1 - Math.ceil(LASTS[last] / step)), end: midnight(now, 1), step };
  }
  const edge = (seconds) => Math.ceil(seconds / step) * step;
  if (!last) return { start: Math.floor(from / step) * step, end: Math.max(edge(to), Math.floor(from / step) * step + step), step };
  const end = edge(now + 1);
  return { start: end - edge(LASTS[last]), end, step };
}

/** The request. A range from-to is sent as given, even if it is invalid: the service then says what is valid. */
export function aggregateRequest({ names, operation, last, from, to, zone }, window, { start, end }) {
  const place = dayZone(zone, window);
  return {
    path: AGGREGATE,
    query: [["name", names.join(",")], ["operation", operation], ["window", window],
      ["start", iso(last ? start : from)], ["end", iso(last ? end : to)], ...(place ? [["tz", place]] : [])],
  };
}

/** An answer as series: one per name, in the order asked. A window without data is left out. */
export function seriesOf(answer, names) {
  return [...new Set(names)].map((name) => ({
    name,
    points: (Array.isArray(answer.data) ? answer.data : answer.data[name] ?? [])
      .map(({ timestamp, value, partial }) => ({ at: Date.parse(timestamp) / 1000, value, partial: partial === true })),
  }));
}
