/** Prometheus' text format, and rates between two readings of it. */

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:\\.|[^"\\])*)"/g;
const ESCAPES = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** The samples of a text: `{name, labels, value}`. */
export function samples(text) {
  const found = [];
  for (const row of text.split("\n")) {
    const match = row.startsWith("#") ? null : row.match(LINE);
    if (match) found.push({ name: match[1], labels: labelsOf(match[2] ?? ""), value: Number(match[3].replace("Inf", "Infinity")) });
  }
  return found;
}

function labelsOf(text) {
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) labels[name] = value.replace(/\\[n"\\]/g, (escape) => ESCAPES[escape]);
  return labels;
}

/** The sum of all samples of a name that `fits` takes, by labels; undefined when there is none of the name. */
export function total(list, name, fits = () => true) {
  const named = list.filter((sample) => sample.name === name);
  return named.length ? named.filter((sample) => fits(sample.labels)).reduce((sum, sample) => sum + sample.value, 0) : undefined;
}

/** A counter's growth per second. Null if it went back: another process answered, or the process was restarted. */
export function rate(before, after, seconds) {
  if (before === undefined || after === undefined || seconds <= 0 || after < before) return null;
  return (after - before) / seconds;
}
