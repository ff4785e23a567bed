/** What a person does first: how to get a key, and how to send something. Addresses are those of the service. */

import { fixedCommand } from "./command.js";
import { el } from "./dom.js";
import { curl } from "./shell.js";

/** What to do while the service has no metrics. */
export function howToStart(say) {
  const body = JSON.stringify({ name: "shop.orders", value: 1 });
  const command = curl({ method: "POST", url: `${location.origin}/api/metrics/counter`, body });
  return el("div", { class: "card first", hidden: true }, el("h2", {}, "Nothing has been counted yet"),
    el("p", {}, "Send a StatsD line to the agent on your host, from any client. Its operator knows the port. Or send a counter over REST, with a key that may send:"),
    fixedCommand(command, say),
    el("p", {}, "This page shows it within 10 seconds. ", el("a", { href: "#api/recordCounter" }, "Or try it here")));
}
