/** The agents as a table: who sends, how far each is, and what was lost where. Read only. */

import { answer } from "./dialog.js";
import { cell, el, notice } from "./dom.js";
import { ago, moment } from "./time.js";

const AGENTS = "/api/agents";
const SHOWN = 1_000;
const HEAD = ["Host", "State", "Last batch", "Received", "Stored", "Waiting", "Dropped", "Lost", "Clock"];
const ORDER = ["silent", "live", "stopped"];
const CLOCK_SECONDS = 2; // a clock that is further off is pointed out

/** `key()` is the admin key. */
export class Agents {
  constructor({ key }) {
    this.key = key;
    this.body = el("tbody");
    this.note = el("div");
    this.about = el("p", { class: "hint" });
    this.table = el("div", { class: "scroll wide", tabindex: "0", role: "region", "aria-label": "Agents as a table" }, el("table", { class: "list" },
      el("thead", {}, el("tr", {}, HEAD.map((word) => el("th", { scope: "col" }, word)))), this.body));
    this.node = el("section", { class: "card", "aria-label": "Agents" }, el("h2", {}, "Agents"), this.note, this.about, this.table);
  }

  /** Ask and draw. */
  async show() {
    const { reply, fault } = await answer({ path: AGENTS, query: [["limit", String(SHOWN)]] }, this.key());
    this.note.replaceChildren(...(fault ? [notice(fault)] : []));
    if (fault) return;
    const { states, data, next } = reply.json;
    const some = Object.entries(states).filter(([, count]) => count).map(([state, count]) => `${count.toLocaleString("en")} ${state}`).join(", ");
    this.about.textContent = data.length ? `${some}. ${next ? `These are the first ${SHOWN}. ` : ""}Counts are samples since the agent's start.` : "No agent has sent a report yet. An agent is listed from its first batch on.";
    this.table.hidden = !data.length;
    const sorted = [...data].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state) || one.host.localeCompare(other.host, "en", { numeric: true }));
    this.body.replaceChildren(...sorted.map(row));
  }
}

function row(agent) {
  const silent = agent.state === "silent";
  const seen = Date.parse(agent.seen_at) / 1000;
  const ahead = agent.clock_ahead;
  const off = ahead !== null && Math.abs(ahead) >= CLOCK_SECONDS;
  const waiting = agent.in_window + agent.in_spool;
  return el("tr", { class: silent ? "silent" : agent.state === "stopped" ? "gone" : "" },
    el("th", { scope: "row" }, el("strong", {}, agent.host), agent.shared_id && el("span", { class: "badge" }, "id is used twice"), el("span", { class: "kind" }, `version ${agent.version}`)),
    cell("State", { class: silent ? "over" : "" }, agent.state),
    cell("Last batch", { title: moment(seen, "local") }, ago(Math.max(0, Date.now() / 1000 - seen))),
    cell("Received", {}, count(agent.received)), cell("Stored", {}, count(agent.acknowledged)),
    cell("Waiting", { title: `${count(agent.in_window)} in the open window, ${count(agent.in_spool)} in the spool` }, count(waiting), agent.spool_batches > 1 && el("span", { class: "kind" }, `${count(agent.spool_batches)} batches`)),
    losses("Dropped", agent.dropped), losses("Lost", { ...agent.lost, ...(agent.missing_points ? { "not counted here": agent.missing_points } : {}) }),
    cell("Clock", { class: off ? "over" : "" }, ahead === null ? "–" : `${Math.abs(ahead).toLocaleString("en", { maximumFractionDigits: 1 })} s ${ahead < 0 ? "behind" : "ahead"}`));
}

/** A count for each reason; nothing lost is said with one digit. */
function losses(label, reasons) {
  const some = Object.entries(reasons).filter(([, lost]) => lost);
  return cell(label, { class: some.length ? "over" : "" }, some.length ? some.map(([reason, lost]) => el("div", {}, `${count(lost)} ${reason.replaceAll("_", " ")}`)) : "0");
}

function count(number) {
  return Number(number).toLocaleString("en");
}
