/** A command to be copied: shown with the key as a variable, copied with either. */

import { copied, el } from "./dom.js";
import { curl } from "./shell.js";

/** `show(requests)` shows the curl of one request or of each of several; `session` has the key, `say` tells a screen reader. */
export function createCommand({ session, say, label = "As a command" }) {
  const text = el("code");
  const box = el("pre", { tabindex: "0", role: "group", "aria-label": label }, text);
  const withKey = copyButton("Copy with key", () => commands(session.key), say);
  const plain = copyButton("Copy", () => commands(), say);
  const hint = el("p", { class: "hint" });
  const node = el("div", { class: "command" }, el("div", { class: "row" }, el("p", { class: "label" }, label),
    el("div", { class: "buttons" }, plain, withKey)), box, hint);
  let requests = [];
  const commands = (key) => requests.map((request) => curl(request, key)).join("\n");
  return {
    node,
    show: (next) => {
      requests = [next].flat();
      const [{ keyless }] = requests;
      text.textContent = commands();
      withKey.hidden = Boolean(keyless) || !session.key;
      hint.textContent = keyless ? "" : "METRICS_KEY is your key: export METRICS_KEY=gf_…";
    },
  };
}

/** A command that needs no explanation. */
export function fixedCommand(text, say) {
  return el("div", { class: "command" },
    el("div", { class: "row" }, el("pre", { tabindex: "0" }, el("code", {}, text)), copyButton("Copy", () => text, say)));
}

function copyButton(label, text, say) {
  const button = el("button", { type: "button", class: "quiet", onclick: async () => {
    const done = await copied(text());
    say(done ? "Copied" : "This page cannot use the clipboard here; select the text and copy it");
    button.textContent = done ? "Copied" : "Select the text";
    setTimeout(() => { button.textContent = label; }, 1600);
  } }, label);
  return button;
}
