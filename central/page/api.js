/** Requests to the service that the page came from, and its errors in words. */

import { exact } from "./numbers.js";

/** Finds the key in pasted text, which may be a printed line, a curl or a header. Without a key: the text itself. */
export function keyIn(text) {
  return text.match(/gf_[a-z0-9]{12}_[A-Za-z0-9_-]{43}/)?.[0] ?? text.trim();
}

/** The key, for this tab only: in memory, and in sessionStorage if the browser has it. It is never in an address. */
export function createSession(storage = tabStorage()) {
  let key = storage?.getItem("api-key") ?? "";
  const listeners = [];
  return {
    get key() { return key; },
    set key(text) {
      key = text;
      if (key) storage?.setItem("api-key", key);
      else storage?.removeItem("api-key");
      listeners.forEach((listener) => listener());
    },
    onChange: (listener) => { listeners.push(listener); },
  };
}

function tabStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** An address with its query, [name, value] pairs. */
export function address(path, query = []) {
  return query.length ? `${path}?${new URLSearchParams(query)}` : path;
}

/** Send a request; the answer with its text and, where it is JSON, its value with exact numbers. Throws `Unreachable`. */
export async function send({ method = "GET", path, query = [], headers = [], body }, key = "", signal = undefined) {
  let answer;
  try {
    const all = new Headers(headers);
    if (key) all.set("X-API-Key", key);
    answer = await fetch(address(path, query),
      { method, headers: all, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  const type = answer.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/octet-stream")) return { ...head(answer), blob: await answer.blob() };
  const text = await answer.text();
  return { ...head(answer), text, json: type.startsWith("application/json") ? parsed(text) : undefined };
}

/** Thrown when no answer came. */
export class Unreachable extends Error {}

/** The signal for a request that is given up when it has no answer in this time; the aborter ends it at any time. */
export function patience(milliseconds, aborter = new AbortController()) {
  setTimeout(() => aborter.abort(new Unreachable(`nothing within ${milliseconds / 1000} s`)), milliseconds);
  return aborter.signal;
}

function head(answer) {
  return { ok: answer.ok, status: answer.status, reason: answer.statusText, headers: answer.headers };
}

function parsed(text) {
  try {
    return JSON.parse(text, exact);
  } catch {
    return undefined;
  }
}

const AWAY = [502, 504]; // of a proxy that cannot reach the service

/** What an answer says that is not JSON. The service makes no HTML, but a proxy does. */
function plain({ status, text = "" }) {
  return /^\s*</.test(text) ? `this answer is not the service's but a proxy's: ${status}` : text.slice(0, 300);
}

/** What an error answer means, and what to do: `title`, `text`, and `fits` or `retry` where there is one. */
export function explain(reply, hasKey) {
  const fault = reply.json?.error ?? {};
  const said = typeof fault.message === "string" ? fault.message : plain(reply);
  const retry = Number(reply.headers.get("Retry-After")) || (AWAY.includes(reply.status) ? 5 : 0);
  const fits = typeof fault.details?.fits === "string" ? fault.details.fits : undefined;
  return { code: fault.code, status: reply.status, retry, fits, ...words(reply.status, said, retry, hasKey, fault) };
}

function words(status, said, retry, hasKey, fault) {
  const when = retry ? `Try again in ${retry} s.` : "Try again in a moment.";
  const again = /\btry again\b/i.test(said) ? "" : when;
  if (status === 401 && !hasKey) return { title: "A key is needed", text: "Paste your API key at the top of this page." };
  if (status === 401) return { title: "The service does not take this key", text: sentence(said, "Was it pasted whole? Was it revoked?") };
  if (status === 403) return { title: "This key may not do that", text: sentence(said, "Ask an operator of the service for a key with that scope.") };
  if (status === 429) return { title: "This minute's requests are used up", text: sentence(said, again) };
  if (status === 503) return { title: "The service cannot answer now", text: sentence(said, again) };
  if (status >= 500) return { title: "The service failed", text: sentence(said, again) };
  if (fault.code === "RANGE_TOO_LARGE") return { title: "Too many windows for one answer", text: sentence(said) };
  if (fault.code === "LAST_ADMIN_KEY") return { title: "This is the last admin key", text: sentence(said) };
  const place = fault.details?.field;
  return { title: place ? `Please check: ${place}` : `Refused (${status})`, text: sentence(said) };
}

/** The words to show when no answer came. */
export function unreachable() {
  return { title: "The service does not answer", text: `Nothing came back from ${location.origin}. Does it run?`, retry: 5 };
}

/** The fault as a part says it that asks again by itself. */
export function followed(fault) {
  return fault.retry ? { ...fault, text: `${fault.text} This page asks again by itself.` } : fault;
}

function sentence(said, more = "") {
  const text = said ? said[0].toUpperCase() + said.slice(1) : "";
  return [text && (/[.?!]$/.test(text) ? text : `${text}.`), more].filter(Boolean).join(" ");
}
