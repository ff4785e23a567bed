/** The three comboboxes of a question: names of metrics, conditions on tags, and the keys to group by. */

import { Combo } from "./combo.js";
import { IS_GLOB, IS_NAME, NAME_RULE } from "./names.js";
import { LISTED, MOST_NAMES } from "./question.js";
import { swatch } from "./readout.js";

const SHOWN = 50;
const LOOKED_AT = 3; // so many names are asked for their tags

/** `ask(path, query)` gives the answer of the service, or undefined if it refuses. */
export function pickNames({ ask, say, changed }) {
  const suggest = async (text) => {
    if (text && !IS_NAME.test(text) && !IS_GLOB.test(text)) return { options: [], hint: NAME_RULE };
    const found = await ask(LISTED, [...chosenBy(text), ["details", "false"], ["limit", String(SHOWN)]]);
    const options = (found?.data ?? []).map(({ name, type }) => ({ value: name, kind: type }));
    const more = found?.next ? `These are the first ${options.length}; type more to find others.` : "";
    return { options, hint: options.length ? more : text && `No name holds “${text}”.` };
  };
  const parse = (text) => {
    const words = text.split(/[\s,]+/).filter(Boolean);
    if (words.every((word) => IS_NAME.test(word))) return { words };
    return IS_GLOB.test(text) ? all(text) : { fault: NAME_RULE };
  };
  const all = async (pattern) => {
    const found = await ask(LISTED, [["match", pattern], ["details", "false"], ["limit", String(MOST_NAMES)]]);
    const words = (found?.data ?? []).map(({ name }) => name);
    return words.length ? { words } : { fault: `No name fits ${pattern}.` };
  };
  return new Combo({ id: "names", label: "Metrics", placeholder: "Type any part of a name", suggest, parse, say, changed, most: MOST_NAMES, mark: swatch, again: "Type any part of a name",
    empty: "Type a part of a name, or press the down arrow for a list." });
}

/** How the list of names is asked: a text with a * or its like is a pattern, any other is a part of a name in any case. */
export function chosenBy(text) {
  if (!text) return [];
  return IS_NAME.test(text) ? [["search", text], ["ignore_case", "true"]] : [["match", text]];
}

/** Conditions such as `env:prod`; `names()` are the metrics whose tags are suggested. */
export function pickTags({ ask, say, changed, names }) {
  const suggest = async (text) => {
    const [not, key, value] = text.match(/^(!?)([^:]*)(?::(.*))?$/s).slice(1);
    const listed = value === undefined ? await keys(ask, names()) : await values(ask, names(), key, value);
    const options = value === undefined
      ? listed.filter((one) => one.key.toLowerCase().includes(key.toLowerCase())).map((one) => ({ value: `${not}${one.key}`, kind: counted(one.values, "value"), fill: `${not}${one.key}:` }))
      : listed.map((one) => ({ value: `${not}${key}:${one.value}`, kind: counted(one.series, "series", "series") }));
    return { options, hint: options.length || !text ? "" : "Nothing in the service fits. Type a condition such as env:prod or host:web-*." };
  };
  const parse = (text) => {
    const words = text.split(",").map((word) => word.trim()).filter(Boolean);
    const bad = words.find((word) => !/^!?[^:]+:/.test(word));
    return bad === undefined ? { words } : { fault: `${bad}: a condition is a key, a colon and a value, such as env:prod. A * stands for any text.` };
  };
  return new Combo({ id: "tags", label: "Tags", placeholder: "env:prod, host:web-*", suggest, parse, say, changed, most: 20 });
}

/** Keys to group by. */
export function pickGroups({ ask, say, changed, names }) {
  const suggest = async (text) => {
    const found = (await keys(ask, names())).filter((one) => one.key.toLowerCase().includes(text.toLowerCase()));
    return { options: found.map((one) => ({ value: one.key, kind: counted(one.values, "value") })), hint: found.length || !text ? "" : "No tag of these metrics has such a key." };
  };
  const parse = (text) => ({ words: text.split(/[\s,]+/).filter(Boolean) });
  return new Combo({ id: "groups", label: "Group by", placeholder: "endpoint", suggest, parse, say, changed, most: 20 });
}

/** The keys of the tags of these names, each once. */
async function keys(ask, names) {
  const all = await Promise.all(names.slice(0, LOOKED_AT).map((name) => ask(`${LISTED}/${encodeURIComponent(name)}/tags`, [])));
  return [...new Map(all.flatMap((found) => found?.data ?? []).map((one) => [one.key, one])).values()];
}

async function values(ask, names, key, search) {
  const query = [...(search && !search.includes("*") ? [["search", search]] : []), ["limit", String(SHOWN)]];
  const all = await Promise.all(names.slice(0, LOOKED_AT).map((name) => ask(`${LISTED}/${encodeURIComponent(name)}/tags/${encodeURIComponent(key)}`, query)));
  return [...new Map(all.flatMap((found) => found?.data ?? []).map((one) => [one.value, one])).values()];
}

function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
