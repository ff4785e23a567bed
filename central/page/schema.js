/** Reads the API's description: references, fields, examples. */

/** What a `$ref` stands for; anything else as it is. */
export function resolve(spec, found) {
  if (!found?.$ref) return found ?? {};
  return found.$ref.replace(/^#\//, "").split("/").reduce((value, part) => value[part], spec);
}

/** Every operation, in the order of the description. */
export function operations(spec) {
  return Object.entries(spec.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation, id: operation.operationId })));
}

/** The fields of an object's schema as rows, those of a list's items below it. */
export function fields(spec, schema, prefix = "") {
  const described = resolve(spec, schema);
  return Object.entries(described.properties ?? {}).flatMap(([name, field]) => {
    const full = prefix + name;
    const needed = (described.required ?? []).includes(name);
    const row = { name: full, kind: kindOf(spec, field), text: resolve(spec, field).description ?? "", needed };
    const inner = resolve(spec, field);
    return [row, ...(inner.items ? fields(spec, inner.items, `${full}[].`) : fields(spec, inner, `${full}.`))];
  });
}

/** What a value may be, in words. */
export function kindOf(spec, schema) {
  const { type, enum: allowed, const: only, minItems, maxItems, minimum, maximum, format, oneOf, anyOf = oneOf } = resolve(spec, schema);
  if (allowed) return allowed.join(", ");
  if (only !== undefined) return String(only);
  if (anyOf) return [...new Set(anyOf.map((one) => kindOf(spec, one)))].join(" or ");
  const kind = [type].flat().filter(Boolean).join(" or ");
  if (kind.startsWith("array")) return maxItems ? `list of ${minItems} to ${maxItems.toLocaleString("en")}` : "list";
  if (format === "date-time") return `${kind}, ISO 8601`;
  if (minimum !== undefined && maximum !== undefined) return `${kind}, ${minimum} to ${maximum.toLocaleString("en")}`;
  return kind;
}

/** The JSON part of a body or an answer. */
export function jsonOf(holder) {
  return holder?.content?.["application/json"];
}

/** JSON on lines, its numbers untouched. */
export function pretty(text) {
  let depth = 0;
  let out = "";
  for (const [part] of text.matchAll(/"(?:\\.|[^"\\])*"|[{}[\]:,]|[^\s{}[\]:,"]+/g)) {
    const empty = /[{[]$/.test(out.trimEnd());
    if (part === "{" || part === "[") {
      depth += 1;
      out += `${part}\n${"  ".repeat(depth)}`;
    } else if (part === "}" || part === "]") {
      depth -= 1;
      out = empty ? out.trimEnd() + part : `${out}\n${"  ".repeat(depth)}${part}`;
    } else if (part === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (part === ":") out += ": ";
    else out += part;
  }
  return out;
}
