/** Names of metrics: the rule for one, and many of them in a short text. */

export const IS_NAME = /^[A-Za-z0-9._-]{1,255}$/;
/** A pattern over names, as Graphite has it. */
export const IS_GLOB = /^[A-Za-z0-9._*?[\]{},^-]{1,255}$/;
export const NAME_RULE = "A name has letters, digits, dots, underscores and hyphens only.";
const SAME = "~"; // is in no name

/** Names as a text with commas. A `~` stands for each dotted part that a name has in common with the one before. */
export function packed(names) {
  return names.map((name, index) => {
    const [parts, before] = [name.split("."), names[index - 1]?.split(".") ?? []];
    let same = 0;
    while (same < parts.length - 1 && parts[same] === before[same]) same += 1;
    return SAME.repeat(same) + parts.slice(same).join(".");
  }).join(",");
}

/** See packed. A text without `~` is a plain list. */
export function unpacked(text) {
  const found = [];
  for (const part of text.split(",").filter(Boolean)) {
    const own = part.replace(/^~+/, "");
    found.push([...(found.at(-1)?.split(".") ?? []).slice(0, part.length - own.length), own].join("."));
  }
  return found;
}
