/** A dialog over the page. The browser keeps the focus in it, Escape closes it, and then `closed()` gets the focus back. */

import { explain, patience, send, unreachable } from "./api.js";
import { el, notice } from "./dom.js";

const PATIENCE_MS = 20_000;

/**
 * Ask a person. `body` are the fields, `act` the word on the button, `request()` what is sent then, `done(json)` is called
 * after a success and gives what to show in place of the fields, `{heading, nodes, buttons}`, or nothing: then the dialog closes. `force`: what to
 * offer when the service refuses with 409, as a query. `key()` is the key.
 */
export function ask({ title, body, act, danger = false, request, done, force, key, closed }) {
  const wrong = el("div", { role: "alert" });
  const button = el("button", { class: danger ? "strong danger" : "strong" }, act);
  const cancel = el("button", { type: "button", onclick: () => node.close() }, danger ? "Keep it" : "Cancel");
  const send_ = async (query) => {
    button.disabled = true;
    const found = await answer({ ...request(), query }, key());
    button.disabled = false;
    if (found.fault) {
      const again = found.reply?.status === 409 && force && el("button", { type: "button", class: "quiet", onclick: () => send_(force) }, "Do it anyway");
      wrong.replaceChildren(notice(found.fault, again));
      button.focus();
      return;
    }
    const shown = done(found.reply.json);
    if (!shown) node.close();
    else after(shown);
  };
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); send_([]); } }, body, wrong, el("div", { class: "buttons" }, button, cancel));
  const after = ({ heading, nodes, buttons }) => {
    const end = el("button", { type: "button", class: "strong", onclick: () => node.close() }, "Done");
    head.textContent = heading;
    form.replaceWith(el("div", { class: "asked" }, nodes, el("div", { class: "buttons" }, buttons, end)));
    end.focus();
  };
  const head = el("h2", {}, title);
  form.className = "asked";
  const node = el("dialog", { "aria-label": title, onclose: () => { node.remove(); closed(); } }, head, form);
  document.body.append(node);
  node.showModal();
  (danger ? cancel : form.querySelector("input, button")).focus();
}

/** The reply to a request that succeeded, or the fault in words. */
export async function answer(request, key) {
  try {
    const reply = await send(request, key, patience(PATIENCE_MS));
    return reply.ok ? { reply } : { reply, fault: explain(reply, Boolean(key)) };
  } catch {
    return { fault: unreachable() };
  }
}
