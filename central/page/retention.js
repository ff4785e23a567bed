/** How long points are kept, and what was removed last. Read only: the API and the command line change it. */

import { answer } from "./dialog.js";
import { el, notice } from "./dom.js";
import { ago, moment } from "./time.js";

const RETENTION = "/api/admin/retention";
const LOGGED = 8;

/** `key()` is the admin key. */
export class Retention {
  constructor({ key }) {
    this.key = key;
    this.facts = el("dl", { class: "facts" });
    this.log = el("ul", { class: "log" });
    this.note = el("div");
    this.node = el("section", { class: "card", "aria-label": "Retention" }, el("h2", {}, "Retention"), this.note, this.facts, this.log);
  }

  /** Ask and draw. */
  async show() {
    const { reply, fault } = await answer({ path: RETENTION }, this.key());
    this.note.replaceChildren(...(fault ? [notice(fault)] : []));
    if (fault) return;
    const { retention_days: days, grace_days: grace, line, drop_line: removed, held_until: held, last_run: run, log } = reply.json.data;
    const at = (text) => Date.parse(text) / 1000;
    const day = (text) => (text ? moment(at(text), "utc", 86_400) : "nothing yet");
    const rows = [["Kept for", `${days} days, then hidden for ${grace} more`], ["Hidden before", day(line)], ["Removed before", day(removed)],
      ["Last run", run ? ago(Math.max(0, Date.now() / 1000 - at(run))) : "not yet"], held && ["Held until", moment(at(held), "utc")]];
    this.facts.replaceChildren(...rows.filter(Boolean).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    this.log.replaceChildren(...log.slice(0, LOGGED).map((entry) => el("li", {}, `${moment(at(entry.at), "utc")} UTC: ${entry.action} to ${day(entry.line)}, by ${entry.actor}`,
      entry.rows ? `, ${entry.rows.toLocaleString("en")} rows` : "")));
  }
}
