/** Try it: a form for one operation, the curl of what it would send, and the answer. Nothing is sent before you press "Send". */

import { address, explain, send, unreachable } from "./api.js";
import { createCommand } from "./command.js";
import { el, field, notice } from "./dom.js";
import { pretty } from "./schema.js";
import { iso } from "./time.js";

const MOST_SHOWN = 200_000;
const SHOWN_HEADERS = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "Idempotency-Replayed", "X-Request-Id", "Content-Type"];
let made = 0;

/** A closed part of an operation's article. */
export function createTry({ path, method, operation, parameters, body, session, say }) {
  const file = operation.responses["200"]?.content?.["application/octet-stream"] && "metrics-copy.duckdb";
  const controls = parameters.map((parameter) => ({ ...parameter, control: controlOf(parameter) }));
  const text = body && el("textarea", { spellcheck: "false", rows: Math.min(12, JSON.stringify(body.example, null, 2).split("\n").length) });
  if (text) text.value = JSON.stringify(body.example, null, 2);
  const keyless = !operation.security.length;
  const command = createCommand({ session, say });
  const answer = el("div", { class: "answer" });
  const button = el("button", { class: method === "delete" ? "strong danger" : "strong" }, `Send ${method.toUpperCase()}`);

  const request = () => {
    const filled = controls.filter(({ control }) => control.value !== "");
    const placed = (place) => filled.filter((entry) => entry.in === place).map(({ name, control }) => [name, control.value]);
    const target = placed("path").reduce((whole, [name, value]) => whole.replace(`{${name}}`, encodeURIComponent(value)), path);
    return { method: method.toUpperCase(), path: target, query: placed("query"), headers: placed("header"), keyless, file, ...(text ? { body: text.value } : {}) };
  };
  const refresh = () => {
    const next = request();
    command.show({ ...next, url: location.origin + next.path });
  };
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    answer.replaceChildren(el("p", { class: "hint" }, "Sending…"));
    const sent = request();
    const started = performance.now();
    try {
      const reply = await send(sent, keyless ? "" : session.key);
      answer.replaceChildren(...shown(reply, Math.round(performance.now() - started), session, sent));
      say(`Answer ${reply.status}`);
      if (reply.ok) controls.filter(isRetryKey).forEach(({ control }) => { control.value = freshId(); });
    } catch {
      answer.replaceChildren(notice(unreachable()));
    }
    button.disabled = false;
    refresh();
  };
  const form = el("form", { onsubmit: submit, oninput: refresh },
    controls.map(({ name, required, control }) => field(required ? `${name} (required)` : name, control)),
    text && field("Body (JSON)", text), el("div", { class: "row" }, button, !keyless && el("span", { class: "hint" }, "Sent with your key.")));
  session.onChange(refresh);
  refresh();
  return [el("details", { class: "try" }, el("summary", {}, "Try it"), form, answer), command.node];
}

const isRetryKey = ({ name }) => name === "Idempotency-Key";

/** A control with a valid value. A name in the path stays empty, because an example could be somebody's real name. */
function controlOf({ name, in: place, required, schema, example }) {
  const id = `try-${++made}`;
  if (schema.enum) {
    const options = [...(required ? [] : [""]), ...schema.enum];
    const control = el("select", { id }, options.map((value) => el("option", { value }, value || "(not sent)")));
    control.value = required ? example : "";
    return control;
  }
  const control = el("input", { id, required: Boolean(required), autocomplete: "off", spellcheck: "false" });
  if (place === "path") control.placeholder = `such as ${example}`;
  else if (name === "Idempotency-Key") control.value = freshId();
  else if (name === "start" || name === "end") control.value = iso(Math.floor(Date.now() / 86_400_000 + (name === "end" ? 1 : 0)) * 86_400);
  else if (example !== undefined) control.value = example;
  return control;
}

/** A random id; crypto.randomUUID is not there over plain HTTP from another host. */
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function shown(reply, milliseconds, session, sent) {
  const headers = SHOWN_HEADERS.filter((name) => reply.headers.has(name)).map((name) => `${name}: ${reply.headers.get(name)}`);
  const parts = [el("p", { class: "status-line" }, el("strong", { class: reply.ok ? "good" : "bad" }, `${reply.status} ${reply.reason}`),
    ` in ${milliseconds} ms, ${sent.method} ${address(sent.path, sent.query)}`)];
  if (!reply.ok && reply.json?.error) parts.push(notice(explain(reply, Boolean(session.key))));
  parts.push(el("p", { class: "hint headers" }, headers.join(" · ")));
  if (reply.blob) {
    const link = el("a", { href: URL.createObjectURL(reply.blob), download: sent.file }, `Save the file (${reply.blob.size.toLocaleString("en")} bytes)`);
    return [...parts, el("p", {}, link)];
  }
  const whole = reply.json === undefined ? reply.text : pretty(reply.text);
  const text = whole.length > MOST_SHOWN ? `${whole.slice(0, MOST_SHOWN)}\n… ${whole.length - MOST_SHOWN} characters more` : whole;
  return [...parts, el("pre", { tabindex: "0", role: "group", "aria-label": "The answer's body" }, el("code", {}, text))];
}
