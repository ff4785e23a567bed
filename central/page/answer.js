/** The answers of the service as lines: one per name or group, and operation. */

import { midnight } from "./time.js";

const OF_SAMPLES = { count: "count", rate: "rate", sum: "sum" }; // all others are in the unit of the samples

/** The lines of some answers that share their operations, in the order of the names. A window without data is left out. */
export function seriesOf(answers, names) {
  const operations = answers[0].operation.split(",");
  const lines = answers.flatMap((answer) => linesOf(answer, names));
  const single = lines.every(({ title }) => title === names[0]);
  const titled = (title, operation) => (operations.length === 1 ? title : single ? operation : `${title} ${operation}`);
  return lines.flatMap(({ title, metric, rows }) => operations.map((operation) => (
    { name: titled(title, operation), metric, unit: `${metric} ${OF_SAMPLES[operation] ?? ""}`, points: pointsOf(rows, operations.length === 1 ? "value" : operation) })));
}

/** The same lines as they were so many seconds earlier, in the windows of now. `days`: windows are days of the browser's zone. */
export function earlier(series, back, words, days) {
  const moved = (at) => (days ? midnight(at + back + 43_200) : at + back);
  return series.map((line, place) => ({ ...line, place, before: true, name: `${line.name}, ${words}`,
    points: line.points.map((point) => ({ ...point, at: moved(point.at), partial: false })) }));
}

/** How many windows of some answers have a value that is not available. */
export function unavailableOf(answers) {
  return answers.flatMap((answer) => linesOf(answer, [])).flatMap(({ rows }) => rows).filter((row) => row.unavailable).length;
}

/** The names or groups of an answer, each with its title and its windows. */
function linesOf({ data, metric }, names) {
  if (!Array.isArray(data)) return Object.entries(data).map(([name, rows]) => ({ title: name, metric: name, rows }));
  if (!data[0]?.points) return [{ title: metric, metric, rows: data }];
  return data.map((group) => ({ title: titleOf(group, new Set(names).size > 1), metric: group.metric, rows: group.points }));
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
