/** A person's question, without the page. It is kept in the address, becomes a request, and the answer becomes series. */

import { dayZone, iso, midnight, WINDOW_SECONDS } from "./time.js";
import { MOST_NAMES } from "./picker.js";

export const AGGREGATE = "/api/metrics/aggregate";
export const LISTED = "/api/metrics";
/** Ranges that end now, in seconds. */
export const LASTS = { "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800 };
const MOST_WINDOWS = 180;
const PERCENTILE = /^p\d{1,3}(\.\d{1,3})?$/;
/** So many lines have a colour and a dash of their own. */
export const MOST_LINES = 8;

/** What an address says, as far as it makes sense: names, operation (or several with commas), window ("" chooses), last ("" is from-to), zone, tags and groupBy as the service takes them. */
export function fromHash(hash, operations, windows) {
  const said = new URLSearchParams(hash.split("?")[1] ?? "");
  const oneOf = (name, allowed, otherwise) => (allowed.includes(said.get(name)) ? said.get(name) : otherwise);
  const asked = said.get("operation") ?? "";
  const known = asked.split(",").every((word) => operations.includes(word) || PERCENTILE.test(word));
  const [from, to] = ["from", "to"].map((name) => Math.ceil(Date.parse(said.get(name)) / 1000) || 0);
  return {
    names: (said.get("name") ?? "").split(",").filter(Boolean).slice(0, MOST_NAMES),
    operation: known ? asked : operations[0],
    chosen: known,
    window: oneOf("window", windows, ""),
    last: from && to ? "" : oneOf("last", Object.keys(LASTS), "1h"),
    from, to,
    zone: oneOf("zone", ["utc"], "local"),
    tags: said.get("tags") ?? "",
    groupBy: said.get("group_by") ?? "",
  };
}

/** The address of a question. No key is ever in it. */
export function toHash({ names, operation, window, last, from, to, zone, tags, groupBy }) {
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
  if (tags) said.set("tags", tags);
  if (groupBy) said.set("group_by", groupBy);
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
export function aggregateRequest({ names, operation, last, from, to, zone, tags, groupBy }, window, { start, end }) {
  const place = dayZone(zone, window);
  const groups = Math.floor(MOST_LINES / (names.length * operation.split(",").length)) - 1; // one more line is the rest
  return {
    path: AGGREGATE,
    query: [["name", names.join(",")], ["operation", operation], ["window", window],
      ["start", iso(last ? start : from)], ["end", iso(last ? end : to)], ...(place ? [["tz", place]] : []), ...(tags ? [["tags", tags]] : []),
      ...(groupBy ? [["group_by", groupBy], ["top", String(Math.max(1, groups))]] : [])],
  };
}

/** An answer as series: one per name or group, and operation, in the order of the answer. A window without data is left out. */
export function seriesOf(answer, names) {
  const operations = answer.operation.split(",");
  const lines = linesOf(answer, names);
  const single = lines.every(({ title }) => title === names[0]);
  const titled = (title, operation) => (operations.length === 1 ? title : single ? operation : `${title} ${operation}`);
  return lines.flatMap(({ title, metric, rows }) => operations.map((operation) => (
    { name: titled(title, operation), metric, points: pointsOf(rows, operations.length === 1 ? "value" : operation) })));
}

/** How many windows of an answer have a value that is not available. */
export function unavailableOf(answer) {
  return linesOf(answer, Array.isArray(answer.data) ? [""] : Object.keys(answer.data)).flatMap(({ rows }) => rows).filter((row) => row.unavailable).length;
}

/** The names or groups of an answer, each with its title and its windows. */
function linesOf({ data }, names) {
  const unique = [...new Set(names)];
  if (Array.isArray(data) && data[0]?.points) {
    return data.map((group) => ({ title: titleOf(group, unique.length > 1), metric: group.metric, rows: group.points }));
  }
  return unique.map((name) => ({ title: name, metric: name, rows: Array.isArray(data) ? data : data[name] ?? [] }));
}

/** A group's tags, after its name if there are several. No key has a blank, so "no env" is no tag. */
function titleOf({ metric, tags, rest }, several) {
  const own = rest ? "rest" : Object.entries(tags).map(([key, value]) => (value === null ? `no ${key}` : `${key}:${value}`)).join(",");
  return several && own ? `${metric} ${own}` : own || metric;
}

function pointsOf(rows, field) {
  return rows.filter((row) => row[field] !== null)
    .map((row) => ({ at: Date.parse(row.timestamp) / 1000, value: row[field], partial: row.partial === true }));
}
