/** The first thing on the page: what this is, and the field for the key. With a key it is one line. */

import { explain, keyIn, patience, send, unreachable } from "./api.js";
import { el, field, notice } from "./dom.js";

const PATIENCE_MS = 20_000;

/** Draws into `host`. `session` keeps the key, `say` tells a screen reader. */
export function showKey(host, { session, say }) {
  const draw = () => host.replaceChildren(session.key ? line(session, say) : form(session, say));
  session.onChange(draw);
  draw();
}

function line(session, say) {
  const known = session.key.match(/^gf_[a-z0-9]{12}/)?.[0];
  const forget = () => {
    session.key = "";
    say("The key is forgotten");
    const input = document.getElementById("key-input");
    (input.offsetParent ? input : document.getElementById("main")).focus(); // some parts of the page do not show the form
  };
  return el("p", { class: "key-line" }, el("span", {}, "Key ", known ? el("code", {}, `${known}_…`) : "given", ", kept in this tab only"),
    el("button", { type: "button", class: "quiet", onclick: forget }, "Forget it"));
}

function form(session, say) {
  const input = el("input", { id: "key-input", type: "password", autocomplete: "off", spellcheck: "false", required: true,
    placeholder: "gf_…", "aria-describedby": "key-help" });
  const wrong = el("div", { role: "alert" });
  const button = el("button", { class: "strong" }, "Use this key");
  const use = async (event) => {
    event.preventDefault();
    button.disabled = true;
    button.textContent = "Asking…";
    const fault = await refusal(keyIn(input.value));
    button.disabled = false;
    button.textContent = "Use this key";
    wrong.replaceChildren(...(fault ? [notice(fault)] : []));
    if (fault) {
      input.focus();
      return;
    }
    session.key = keyIn(input.value);
    say("The service takes the key");
    document.getElementById("main").focus();
  };
  return el("div", { class: "hero" },
    el("div", {},
      el("h1", { class: "title" }, "See what your applications count."),
      el("p", { class: "lead" }, "Glowing Fiesta takes counters and values, from StatsD lines or over REST, and gives exact sums, counts, "
        + "averages, minima and maxima by minute, hour and day. Every sample counts once.")),
    el("form", { class: "card", onsubmit: use },
      field("API key", input),
      el("p", { class: "hint", id: "key-help" }, "You can paste the whole printed line. The key stays in this tab and is never part of an address."),
      wrong, button),
    el("ol", { class: "steps" },
      step("Paste your key", "An operator of the service makes one with ", el("code", {}, "fiesta-central keys create NAME"), ", and it is shown once."),
      step("Send something", "StatsD lines to the agent on your host, from any client; or over REST, to ", el("code", {}, `${location.origin}/api/metrics`), "."),
      step("Look at it here", "Within 10 seconds you see it here, beside the curl that asks for the same.")));
}

function step(title, ...text) {
  return el("li", {}, el("h2", {}, title), el("p", {}, text));
}

/** Why the service refuses the key, in words; null if it takes the key, even a key that may not query. */
async function refusal(key) {
  if (!/^[!-~]+$/.test(key)) return { title: "That is not a key", text: "A key has letters, digits, _ and - only." };
  try {
    const reply = await send({ path: "/api/metrics", query: [["limit", "1"]] }, key, patience(PATIENCE_MS));
    return reply.ok || reply.status === 403 ? null : explain(reply, true);
  } catch {
    return unreachable();
  }
}
