/** Times: seconds since 1970 in, words of the chosen zone out. A zone is "local" or "utc". */

export const WINDOW_SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400 };
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 259_200, 604_800,
  1_209_600, 2_592_000, 7_776_000, 31_536_000];

/** As the API takes it. */
export function iso(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** The zone as one reads it: its name and its distance from UTC now. */
export function zoneName(zone, now = new Date()) {
  const place = zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (place === "UTC") return place;
  const minutes = -now.getTimezoneOffset();
  const distance = `${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
  return `${place} (UTC${minutes < 0 ? "−" : "+"}${distance})`;
}

/** The name of the browser's zone where days begin by it, and not by UTC. */
export function dayZone(zone, window) {
  const name = zone === "utc" || window !== "1d" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name && name !== "UTC" ? name : null;
}

/** The midnight at or before these seconds, by the browser's clock, and `days` later: a day has 23 to 25 hours. */
export function midnight(seconds, days = 0) {
  const day = new Date(seconds * 1000);
  day.setHours(0, 0, 0, 0);
  day.setDate(day.getDate() + days);
  return day.getTime() / 1000;
}

/** How long ago in one number of at least two: "now", "40 s ago", "3 min ago", "47 h ago", "2 d ago". */
export function ago(seconds) {
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, one]) => seconds >= 2 * one) ?? ["s", 0];
  return size ? `${Math.floor(seconds / size)} ${unit} ago` : "now";
}

/** Date and time of day, for a person: "Tue 24 Nov 2026, 14:05"; with seconds where the step is under a minute. */
export function moment(seconds, zone, step = 60) {
  if (step >= 86_400 && (zone === "utc" || midnight(seconds) === seconds)) return format(seconds, zone, { weekday: "short", ...DATE });
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < 60 ? { second: "2-digit" } : {}) };
  return format(seconds, zone, { weekday: "short", ...DATE, ...time });
}

/** The day alone, for a person: "24 Nov 2026". */
export function day(seconds, zone) {
  return format(seconds, zone, DATE);
}

const MONTH = 2_592_000;
const DATE = { day: "numeric", month: "short", year: "numeric" };

function format(seconds, zone, how) {
  const text = new Intl.DateTimeFormat("en-GB", { ...how, ...(zone === "utc" ? { timeZone: "UTC" } : {}) })
    .format(new Date(seconds * 1000));
  return text.replace(/^(\w{3}), /, "$1 ");
}

/** Where an axis from start to end has its marks, at most `count`: round times of the zone, each with its label. */
export function timeMarks(start, end, count, zone) {
  const step = STEPS.find((seconds) => (end - start) / seconds <= count) ?? STEPS.at(-1);
  const found = [];
  for (let at = first(start, step, zone); at < end; at = after(at, step, zone)) {
    if (at >= start) found.push({ at, label: label(at, step, zone) });
  }
  return found;
}

/** The first of a month at or before these seconds, and `more` months later. Months count from January in steps of `count`. */
function monthAt(seconds, zone, count, more = 0) {
  const date = new Date(seconds * 1000);
  const [year, month] = zone === "utc" ? [date.getUTCFullYear(), date.getUTCMonth()] : [date.getFullYear(), date.getMonth()];
  const found = Math.floor(month / count) * count + more;
  return (zone === "utc" ? Date.UTC(year, found) : new Date(year, found).getTime()) / 1000;
}

function first(start, step, zone) {
  if (step >= MONTH) return monthAt(start, zone, Math.round(step / MONTH));
  if (zone === "utc") return Math.floor(start / step) * step;
  const day = new Date(start * 1000);
  day.setHours(0, 0, 0, 0);
  const midnight = day.getTime() / 1000;
  return step >= 86_400 ? midnight : midnight + Math.floor((start - midnight) / step) * step;
}

function after(at, step, zone) {
  if (step >= MONTH) return monthAt(at, zone, Math.round(step / MONTH), Math.round(step / MONTH));
  if (zone === "utc" || step < 86_400) return at + step;
  const day = new Date(at * 1000);
  day.setDate(day.getDate() + step / 86_400); // a day of a clock change has 23 or 25 hours
  return day.getTime() / 1000;
}

function label(at, step, zone) {
  const date = new Date(at * 1000);
  const midnight = zone === "utc" ? at % 86_400 === 0 : date.getHours() + date.getMinutes() + date.getSeconds() === 0;
  if (midnight && step >= MONTH) return format(at, zone, { month: "short", year: "numeric" });
  if (midnight) return format(at, zone, { day: "numeric", month: "short" });
  return format(at, zone, { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}), hourCycle: "h23" });
}

/** Seconds as a datetime-local control shows them, and back: a fraction is rounded up, as the API does. NaN for none. */
export function toControl(seconds, zone) {
  const date = new Date(seconds * 1000);
  if (zone === "utc") return date.toISOString().slice(0, 16);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** See toControl. */
export function fromControl(text, zone) {
  return Math.ceil(new Date(zone === "utc" ? `${text}Z` : text).getTime() / 1000);
}

function pad(number) {
  return String(number).padStart(2, "0");
}
