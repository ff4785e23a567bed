/** The numbers behind a chart, without the page: windows in a row, scales with round marks, and which scale a line has. */

import { marks, short } from "./numbers.js";

const FAR = 10; // lines of different things get a scale each from here on
const MARK_HEIGHT = 44;

/** The starts of all windows from start to end. Where an answer names a window, as after a clock change, its own start counts. */
export function windowsOf(series, { start, end, step }) {
  const known = [...new Set(series.flatMap(({ points }) => points.map(({ at }) => at)))].filter((at) => at >= start && at < end).sort((one, other) => one - other);
  const found = [];
  let place = 0;
  for (let at = start; at < end; at += step) {
    while (known[place] < at - step / 4) found.push(known[place++]);
    if (known[place] <= at + step / 4) at = known[place++];
    found.push(at);
  }
  return found;
}

/**
 * A line as two rows of numbers: whole windows, and parts of windows. Null is a gap. `joined`: the row of parts has
 * their whole neighbours too, so that a line leads there.
 */
export function rowsOf({ points }, windows, { step, now }, joined) {
  const whole = new Array(windows.length).fill(null);
  const part = new Array(windows.length).fill(null);
  const place = new Map(windows.map((at, index) => [at, index]));
  for (const { at, value, partial } of points) {
    const index = place.get(at);
    if (index !== undefined) (partial || at + step > now ? part : whole)[index] = Number(value);
  }
  if (joined) {
    part.map((value, index) => (value === null ? -1 : index)).filter((index) => index >= 0).forEach((index) => {
      for (const beside of [index - 1, index + 1]) if (whole[beside] !== null && whole[beside] !== undefined) part[beside] = whole[beside];
    });
  }
  return [whole, part];
}

/**
 * Which scale each line has: 0 is the left one, 1 the right one. Lines of one `unit` share a scale. There is a second
 * one where the largest values of two units are ten times apart, at the widest such gap.
 */
export function sidesOf(series) {
  const tops = new Map();
  for (const { unit, points } of series) {
    const top = points.reduce((found, { value }) => Math.max(found, Math.abs(value)), 0);
    if (top > 0) tops.set(unit, Math.max(top, tops.get(unit) ?? 0));
  }
  const sorted = [...tops].sort(([, one], [, other]) => other - one);
  let [widest, cut] = [FAR, 0];
  for (let index = 1; index < sorted.length; index += 1) {
    const ratio = sorted[index - 1][1] / sorted[index][1];
    if (ratio >= widest) [widest, cut] = [ratio, index];
  }
  const small = new Set(cut ? sorted.slice(cut).map(([unit]) => unit) : []);
  const first = series.find(({ unit }) => tops.has(unit));
  const right = first && small.has(first.unit) ? (unit) => !small.has(unit) && cut : (unit) => small.has(unit); // the first line is read on the left
  return series.map(({ unit }) => (tops.has(unit) && right(unit) ? 1 : 0));
}

/** The scale of some lines: its marks and their labels, none without points. `least` is the smallest top. */
export function scaleOf(series, { columns, fromZero, least = 0, height }) {
  let [low, high] = [Infinity, -Infinity];
  for (const { points } of series) {
    for (const { value } of points) {
      if (value < low) low = Number(value);
      if (value > high) high = Number(value);
    }
  }
  if (low > high) return { low: 0, high: 1, values: [], labels: [], width: 14 };
  const far = !columns && !fromZero && low < high; // a line may leave zero out where all is far from it
  if (!(far && low > high / 2)) low = Math.min(0, low);
  if (!(far && high < low / 2)) high = Math.max(0, high);
  high = Math.max(high, low >= 0 ? least : high);
  if (low === high) high = 1; // all are zero
  const ticks = marks(low, high, Math.max(2, Math.floor(height / MARK_HEIGHT)));
  const largest = Math.max(...ticks.values.map(Math.abs));
  const labels = ticks.values.map((value) => short(value, ticks.step, largest));
  return { low: ticks.values[0], high: ticks.values.at(-1), values: ticks.values, labels, width: 14 + 7.2 * Math.max(...labels.map((label) => label.length)) };
}
