/** The API reference, made from /openapi.json. */

import { el } from "./dom.js";
import { fields, jsonOf, kindOf, operations, pretty, resolve } from "./schema.js";
import { createTry } from "./tryit.js";

/** `follow()` goes to the part that the address names. It draws into `host` when somebody looks for the first time. */
export function showReference(host, tools) {
  return {
    follow: () => {
      if (!host.hasChildNodes()) draw(host, tools);
      const id = location.hash.split("/")[1];
      const part = id && document.getElementById(`op-${id}`);
      if (!part) return;
      part.scrollIntoView();
      part.focus({ preventScroll: true });
    },
  };
}

function draw(host, { spec, session, say }) {
  const all = operations(spec);
  const tagged = spec.tags.map((tag) => ({ ...tag, entries: all.filter(({ operation }) => operation.tags.includes(tag.name)) }));
  host.append(
    el("div", { class: "reference" },
      contents(tagged),
      el("div", { class: "articles" },
        el("h1", { id: "api-title" }, "API"),
        el("p", { class: "lead" }, spec.info.description),
        el("p", { class: "hint" }, `Version ${spec.info.version} · `, el("a", { href: "/openapi.json" }, "OpenAPI description")),
        tagged.map(({ name, description, entries }) => [el("h2", {}, name), el("p", { class: "hint" }, description),
          entries.map((entry) => article(spec, entry, { session, say }))]),
        errors(spec))));
}

function contents(tagged) {
  const link = (id, text) => el("li", {}, el("a", { href: `#api/${id}` }, text));
  return el("nav", { class: "contents", "aria-label": "Endpoints" },
    tagged.map(({ name, entries }) => el("div", {}, el("h2", {}, name),
      el("ul", {}, entries.map(({ id, operation }) => link(id, operation.summary))))),
    el("div", {}, el("h2", {}, "More"), el("ul", {}, link("errors", "Errors"))));
}

function article(spec, { path, method, operation, id }, tools) {
  const parameters = (operation.parameters ?? []).map((parameter) => resolve(spec, parameter));
  const body = jsonOf(operation.requestBody);
  return el("article", { id: `op-${id}`, class: "card", tabindex: "-1", "aria-labelledby": `title-${id}` },
    el("h3", { id: `title-${id}` }, operation.summary),
    el("p", { class: "route" }, el("span", { class: `method ${method}` }, method.toUpperCase()), " ", el("code", {}, path),
      operation["x-required-scope"] ? el("span", { class: "tag" }, `scope ${operation["x-required-scope"]}`) : el("span", { class: "tag" }, "no key")),
    el("p", {}, operation.description),
    parameters.length > 0 && [el("h4", {}, "Parameters"), el("dl", { class: "rows" }, parameters.map((parameter) => row({
      name: parameter.name, needed: parameter.required, text: parameter.description,
      kind: [kindOf(spec, parameter.schema), parameter.in === "query" ? "" : parameter.in].filter(Boolean).join(", "),
    })))],
    body && [el("h4", {}, "Body"), el("dl", { class: "rows" }, fields(spec, body.schema).map(row))],
    createTry({ spec, path, method, operation, parameters, body, ...tools }),
    answers(spec, operation));
}

function row({ name, kind, text, needed }) {
  return [el("dt", {}, el("code", {}, name), " ", needed && el("span", { class: "needed" }, "required"), el("span", { class: "kind" }, kind)),
    el("dd", {}, text)];
}

function answers(spec, operation) {
  const all = Object.entries(operation.responses);
  const refused = all.filter(([, answer]) => answer.$ref).map(([status]) => status);
  return el("details", { class: "answers" }, el("summary", {}, `Answers: ${all.map(([status]) => status).join(", ")}`),
    all.filter(([, answer]) => !answer.$ref).map(([status, answer]) => {
      const json = jsonOf(answer);
      return [el("h4", {}, `${status}: ${answer.description}`),
        json?.schema && el("dl", { class: "rows" }, fields(spec, json.schema).map((entry) => row({ ...entry, needed: false }))),
        Object.entries(answer.content ?? {}).filter(([, media]) => media.example !== undefined)
          .map(([type, media]) => example(`Example of ${status}, ${type}`, media.example))];
    }),
    refused.length > 0 && el("p", {}, el("a", { href: "#api/errors" }, "Errors"), `: ${refused.join(", ")}`));
}

function example(label, value) {
  return el("pre", { tabindex: "0", role: "group", "aria-label": label }, el("code", {}, typeof value === "string" ? value : pretty(JSON.stringify(value))));
}

function errors(spec) {
  const codes = Object.entries(spec.components.schemas.Error["x-codes"]);
  return el("article", { id: "op-errors", class: "card", tabindex: "-1", "aria-labelledby": "title-errors" },
    el("h3", { id: "title-errors" }, "Errors"),
    el("p", {}, "All errors have one shape. details.field names the parameter, field or header at fault."),
    example("An error", jsonOf(Object.values(spec.components.responses)[0]).example),
    el("dl", { class: "rows" }, codes.map(([code, { status, meaning }]) => row({ name: code, kind: `status ${status}`, text: meaning }))));
}
