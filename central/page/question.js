/** A person's question, without the page: it is kept in the address and becomes requests. */

import { packed, unpacked } from "./names.js";
import { dayZone, iso, midnight, WINDOW_SECONDS } from "./time.js";

export const AGGREGATE = "/api/metrics/aggregate";
export const LISTED = "/api/metrics";
/** Ranges that end now, in seconds. "all" begins with the first data of the names. */
export const LASTS = { "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000, all: Infinity };
/** What a range is compared with: the words for it, and how far back it is in seconds ("": as long as the range). */
export const EARLIER = { period: ["the period before", 0], day: ["a day earlier", 86_400], week: ["a week earlier", 604_800] };
/** So many lines have a colour and a dash of their own, and can still be read. */
export const MOST_LINES = 50;
export const MOST_NAMES = 50;
const MOST_GROUPS = 19; // and the rest
const MOST_WINDOWS = 400;
const MOST_NUMBERS = 50_000; // of one answer
const MOST_LETTERS = 6_000; // of one address
const PERCENTILE = /^p\d{1,3}(\.\d{1,3})?$/;

/**
 * What an address says, as far as it makes sense: names, operation (or several with commas), window ("" chooses), last ("" is from-to),
 * zone, tags and groupBy as the service takes them, compare (a word of EARLIER or ""), scales ("one" or ""), hidden lines.
 */
export function fromHash(hash, operations, windows) {
  const said = new URLSearchParams(hash.split("?")[1] ?? "");
  const oneOf = (name, allowed, otherwise) => (allowed.includes(said.get(name)) ? said.get(name) : otherwise);
  const asked = said.get("operation") ?? "";
  const known = asked.split(",").every((word) => operations.includes(word) || PERCENTILE.test(word));
  const [from, to] = ["from", "to"].map((name) => Math.ceil(Date.parse(said.get(name)) / 1000) || 0);
  return {
    names: unpacked(said.get("name") ?? "").slice(0, MOST_NAMES),
    operation: known ? asked : operations[0],
    chosen: known,
    window: oneOf("window", windows, ""),
    last: from && to ? "" : oneOf("last", Object.keys(LASTS), "1h"),
    from, to,
    zone: oneOf("zone", ["utc"], "local"),
    tags: said.get("tags") ?? "",
    groupBy: said.get("group_by") ?? "",
    compare: oneOf("compare", Object.keys(EARLIER), ""),
    scales: oneOf("scales", ["one"], ""),
    hidden: said.getAll("hide"),
  };
}

/** The address of a question: all that is shown. No key is ever in it. */
export function toHash({ names, operation, window, last, from, to, zone, tags, groupBy, compare, scales, hidden = [] }) {
  const said = new URLSearchParams();
  if (names.length) said.set("name", packed(names));
  if (names.length) said.set("operation", operation);
  if (window) said.set("window", window);
  if (last && last !== "1h") said.set("last", last);
  if (!last) {
    said.set("from", iso(from));
    said.set("to", iso(to));
  }
  for (const [name, value] of Object.entries({ zone: zone === "utc" && zone, tags, group_by: groupBy, compare, scales })) if (value) said.set(name, value);
  for (const name of hidden) said.append("hide", name);
  const text = said.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%7E", "~");
  return text ? `#metrics?${text}` : "#metrics";
}

/** The window asked for. Without one: the finest that gives a readable chart of so many seconds. */
export function windowOf({ window, last, from, to }, windows, first = 0, now = 0) {
  if (window) return window;
  const span = last === "all" ? now - first : last ? LASTS[last] : to - from;
  return windows.find((word) => span / WINDOW_SECONDS[word] <= MOST_WINDOWS) ?? windows.at(-1);
}

/** The range that is asked and drawn, in seconds: whole windows, with the one that is open now. `first`: where "all" begins. */
export function rangeOf({ last, from, to, zone }, window, now, first = 0) {
  const step = WINDOW_SECONDS[window];
  const seconds = last === "all" ? now - first : LASTS[last];
  if (dayZone(zone, window)) {
    if (!last) return { start: midnight(from), end: midnight(Math.max(to, from + 1) - 1, 1), step };
    return { start: midnight(now, 1 - Math.ceil(seconds / step)), end: midnight(now, 1), step };
  }
  const edge = (moment) => Math.ceil(moment / step) * step;
  if (!last) return { start: Math.floor(from / step) * step, end: Math.max(edge(to), Math.floor(from / step) * step + step), step };
  const end = edge(now + 1);
  return { start: end - edge(seconds), end, step };
}

/** The range that a drag chose, or a button: whole windows of at least one minute, and none after `now`. */
export function between(from, to, now) {
  const start = Math.floor(Math.min(from, now - 60) / 60) * 60;
  return { last: "", from: start, to: Math.max(start + 60, Math.min(Math.ceil(to / 60), Math.ceil(now / 60)) * 60) };
}

/**
 * The requests, each with as many names as one answer can hold. A range from-to is sent as given, even if it is
 * invalid: the service then says what is valid. `back`: all of it so many seconds earlier.
 */
export function requestsOf({ names, operation, last, from, to, zone, tags, groupBy }, window, { start, end, step }, back = 0) {
  const place = dayZone(zone, window);
  const columns = operation.split(",").length;
  const groups = Math.min(MOST_GROUPS, Math.floor(MOST_LINES / (names.length * columns)) - 1); // one more line is the rest
  const most = Math.floor(MOST_NUMBERS / (Math.max(1, Math.ceil((end - start) / step)) * columns));
  return portions(names, Math.max(1, groupBy ? Math.floor(most / (groups + 1)) : most)).map((some) => ({
    path: AGGREGATE,
    query: [["name", some.join(",")], ["operation", operation], ["window", window],
      ["start", iso((last ? start : from) - back)], ["end", iso((last ? end : to) - back)], ...(place ? [["tz", place]] : []), ...(tags ? [["tags", tags]] : []),
      ...(groupBy ? [["group_by", groupBy], ["top", String(Math.max(1, groups))]] : [])],
  }));
}

/** The names in portions of at most so many, and of so many letters as an address may have. */
function portions(names, most) {
  const found = [];
  let letters = Infinity;
  for (const name of names) {
    if (letters + name.length > MOST_LETTERS || found.at(-1).length >= most) {
      found.push([]);
      letters = 0;
    }
    found.at(-1).push(name);
    letters += name.length + 3;
  }
  return found;
}

/** How far back the range is that a person compares with, in seconds; 0 for none. */
export function backOf({ compare, last }, { start, end }) {
  return compare && last !== "all" ? EARLIER[compare][1] || end - start : 0;
}
