/** Elements without markup in text: whatever comes from the service or a person is shown as text. */

const SVG = "http://www.w3.org/2000/svg";

/** An element. Attributes that are functions are listeners, booleans are there or not; children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") node.toggleAttribute(name, value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A fieldset of radio buttons drawn as one row. `options`: [value, label] pairs. Gives the node and its value. */
export function choice(legend, name, options, chosen, changed) {
  const buttons = options.map(([value, label]) => {
    const button = el("input", { type: "radio", name, value, id: `${name}-${value}`, onchange: () => changed(value) });
    button.checked = value === chosen;
    return { value, button, parts: [button, el("label", { for: button.id }, label)] };
  });
  const node = el("fieldset", { class: "choice" }, el("legend", {}, legend),
    el("div", { class: "segments" }, buttons.map((entry) => entry.parts)));
  const choose = (value) => buttons.forEach((entry) => { entry.button.checked = entry.value === value; });
  return { node, choose };
}

/** A cell of a table, which says its column where the screen is too narrow for one. */
export function cell(label, attributes, ...children) {
  return el("td", { "data-label": label, ...attributes }, children);
}

/** A label above a control. */
export function field(label, control, hint) {
  control.id ||= `field-${++field.count}`;
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control,
    hint && el("p", { class: "hint" }, hint));
}
field.count = 0;

/** A name or a group, which may go on in a new line after a dot or a comma. */
export function breakable(name) {
  return name.split(/(?<=[.,])/).flatMap((part) => [part, el("wbr")]);
}

/** A box for what went wrong or is to be known. */
export function notice({ title, text, kind = "error" }, ...more) {
  return el("div", { class: `notice ${kind}` }, el("strong", {}, title), el("p", {}, text), more);
}

/** Put text on the clipboard; true when it is there. Over plain HTTP from another host browsers give no clipboard. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
