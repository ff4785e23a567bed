/** A day of a metric in a line of text: a small line with gaps, and a dot where an hour stands alone. */

import { svg } from "./dom.js";
import { short } from "./numbers.js";

const [WIDTH, HEIGHT, EDGE] = [96, 26, 3];

/** `values` are those of each hour, null without data. */
export function sparkline(values) {
  const known = values.filter((value) => value !== null).map(Number);
  if (!known.length) return svg("svg", { class: "spark", width: WIDTH, height: HEIGHT, role: "img", "aria-label": "no data in the last day" },
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - EDGE, y2: HEIGHT - EDGE }));
  const [low, high] = [Math.min(0, ...known), Math.max(...known, 0)];
  const across = (index) => (EDGE + (index / (values.length - 1)) * (WIDTH - 2 * EDGE)).toFixed(1);
  const down = (value) => (HEIGHT - EDGE - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * EDGE)).toFixed(1);
  const there = (index) => (values[index] ?? null) !== null;
  const path = values.map((value, index) => (there(index) ? `${there(index - 1) ? "L" : "M"}${across(index)} ${down(Number(value))}` : "")).join("");
  const dots = values.map((value, index) => there(index) && !there(index - 1) && !there(index + 1) && svg("circle", { cx: across(index), cy: down(Number(value)), r: 1.75 }));
  const [least, most] = [Math.min(...known), Math.max(...known)].map((value) => short(value, Math.abs(value) || 1));
  return svg("svg", { class: "spark", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `the last day by the hour: from ${least} to ${most}` },
    svg("path", { d: path }), dots);
}
