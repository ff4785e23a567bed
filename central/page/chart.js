/**
 * A chart over time: lines, or columns for one series; gaps where there is no data; a read-out that follows the
 * pointer and, on a slider under it, the keyboard.
 */

import { el, svg } from "./dom.js";
import { marks, short } from "./numbers.js";
import { ago, moment, timeMarks } from "./time.js";

const TOP = 10;
const BOTTOM = 26;
const RIGHT = 12;
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "12 4", "2 2 6 2", "1 4"];

/**
 * `label` says what is shown, `height` is in pixels, `text` writes a value for the read-out, `least` is the smallest
 * top of the scale. `draw(data)` takes `series` of `{name, points: [{at, value, partial}]}` with rising times, `start`, `end` and `step`
 * in seconds, `zone`, `columns` or `fromZero`, and `now`: a window that ends after it is not whole yet, and a `partial` one neither.
 * Days of a clock change are an hour off `step`. `ages`: the latest values say how old they are.
 */
export class Chart {
  #data = null;
  #cursor = null; // the start of the window that is read, null for the latest

  constructor({ label, height = 280, text = String, least = 0 }) {
    Object.assign(this, { label, height, text, least });
    this.picture = svg("svg", { role: "img", height });
    this.slider = el("input", { type: "range", min: 0, step: 1, class: "scrub", "aria-label": `${label}: time of the read-out` });
    this.plot = el("div", { class: "plot" }, this.picture, this.slider);
    this.readout = el("div", { class: "readout" });
    this.node = el("figure", { class: "chart", "aria-label": label }, this.plot, this.readout);
    this.#listen();
  }

  /** Draw; what was read stays, as long as it is in the range. */
  draw(data) {
    this.#data = data;
    this.#redraw();
  }

  #listen() {
    const point = (event) => {
      if (!this.#data) return;
      const { left, width } = this.#frame();
      const across = (event.clientX - this.plot.getBoundingClientRect().left - left) / (width - left - RIGHT);
      this.#move(Math.floor((across * (this.#data.end - this.#data.start)) / this.#data.step));
    };
    this.slider.addEventListener("input", () => this.#move(Number(this.slider.value)));
    this.slider.addEventListener("blur", () => this.#leave());
    this.plot.addEventListener("pointermove", point);
    this.plot.addEventListener("pointerdown", point);
    this.plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== this.slider) this.#leave();
    });
    new ResizeObserver(() => this.#redraw()).observe(this.plot);
  }

  #frame() {
    return frameOf(this.#data, this.plot.clientWidth, this.height, this.least);
  }

  #redraw() {
    if (!this.#data || !this.plot.clientWidth) return;
    const frame = this.#frame();
    this.picture.replaceChildren(...drawing(this.#data, frame));
    this.picture.setAttribute("aria-label", `${this.label}. ${summary(this.#data, this.text)}`);
    this.picture.setAttribute("width", frame.width);
    this.picture.setAttribute("viewBox", `0 0 ${frame.width} ${this.height}`);
    this.#read(frame);
  }

  /** Read a window by its place in the range. */
  #move(index) {
    if (!this.#data) return;
    this.#cursor = this.#data.start + Math.min(Number(this.slider.max), Math.max(0, index)) * this.#data.step;
    this.#read(this.#frame());
  }

  #leave() {
    this.#cursor = null;
    this.#redraw();
  }

  #read(frame) {
    const { start, end, step, zone, series, now } = this.#data;
    const at = this.#cursor !== null && this.#cursor >= start && this.#cursor < end ? this.#cursor : null;
    const points = series.map((entry) => (at === null ? entry.points.at(-1) : pointAt(entry.points, at, step)));
    const latest = points.reduce((found, point) => Math.max(found, point?.at ?? start), start);
    const found = points.find(Boolean);
    const time = at === null ? latestText(points, this.#data) : windowText(found ?? { at }, zone, step, now);
    const rows = series.map(({ name }, index) => [name, points[index] ? this.text(points[index].value) : "no data"]);
    this.slider.max = Math.max(0, Math.round((end - start) / step) - 1);
    this.slider.value = Math.round(((at ?? latest) - start) / step);
    this.slider.setAttribute("aria-valuetext", `${time}: ${rows.map(([name, value]) => `${name} ${value}`).join(", ")}`);
    this.readout.replaceChildren(el("p", { class: "time" }, time), el("ul", {}, rows.map(([name, value], index) =>
      el("li", {}, swatch(index), el("span", { class: "name" }, name), el("span", { class: "value" }, value),
        at === null && points[index] && ageOf(points[index], this.#data)))));
    this.picture.querySelector(".cursor")?.remove();
    if (at !== null) this.picture.append(cursorAt(this.#data, frame, at, points));
  }
}

/** The mark of a series in the read-out and on its chip. */
export function swatch(index) {
  return svg("svg", { class: `swatch s${index % 8}`, width: 18, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 17, y1: 5, y2: 5, "stroke-dasharray": DASHES[index % 8] }));
}

/** The first sentence for a person who cannot see the chart. */
function summary({ series, start, end, step, zone }, text) {
  const span = `From ${moment(start, zone, step)} to ${moment(end, zone, step)}`;
  const parts = series.map(({ name, points }) => {
    if (!points.length) return `${name}: no data`;
    const values = points.map((point) => point.value);
    const low = values.reduce((found, value) => (value < found ? value : found));
    const high = values.reduce((found, value) => (value > found ? value : found));
    return `${name}: ${points.length} windows with data, from ${text(low)} to ${text(high)}, latest ${text(values.at(-1))}`;
  });
  return `${span}. ${parts.join(". ")}.`;
}

function latestText(values, { zone, step, now }) {
  const times = [...new Set(values.filter(Boolean).map((point) => point.at))];
  if (times.length > 1) return "Latest of each";
  return times.length ? windowText(values.find(Boolean), zone, step, now) : "No data";
}

function windowText({ at, partial }, zone, step, now) {
  const part = at + step > now ? " so far" : partial ? ", cut by the range" : "";
  return `${moment(at, zone, step)}${part}`;
}

/** How long ago the window of a latest value ended. From two windows on it looks as old as it is. */
function ageOf({ at }, { step, now, ages }) {
  if (!ages) return "";
  const seconds = Math.max(0, now - at - step);
  return el("span", { class: seconds >= 2 * step ? "age stale" : "age" }, ago(seconds));
}

/** The point of a window, which may begin an hour earlier or later by a clock change: a binary search in up to 11,000. */
function pointAt(points, about, step) {
  const at = about - step / 4;
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle].at < at) low = middle + 1;
    else high = middle;
  }
  return points[low]?.at < about + step / 4 ? points[low] : undefined;
}

/** Where things are: the scales of both axes and the marks of the vertical one. */
function frameOf({ series, start, end, columns, fromZero }, width, height, least) {
  let [low, high] = [Infinity, -Infinity];
  for (const { points } of series) {
    for (const { value } of points) {
      if (value < low) low = Number(value);
      if (value > high) high = Number(value);
    }
  }
  if (low > high) [low, high] = [0, 1];
  const far = !columns && !fromZero && low < high; // a line may leave zero out where all is far from it
  if (!(far && low > high / 2)) low = Math.min(0, low);
  if (!(far && high < low / 2)) high = Math.max(0, high);
  high = Math.max(high, low >= 0 ? least : high);
  if (low === high) high = 1; // all are zero
  const ticks = marks(low, high, Math.max(2, Math.floor((height - TOP - BOTTOM) / 44)));
  const labels = ticks.values.map((value) => short(value, ticks.step));
  const left = 14 + 7.2 * Math.max(...labels.map((label) => label.length));
  const [bottom, top] = [ticks.values[0], ticks.values.at(-1)];
  return {
    width, height, left, ticks, labels,
    x: (at) => left + ((at - start) / (end - start)) * (width - left - RIGHT),
    y: (value) => height - BOTTOM - ((value - bottom) / (top - bottom)) * (height - TOP - BOTTOM),
  };
}

function drawing(data, frame) {
  return [...grid(data, frame), ...(data.series.length === 1 && data.columns && columnWidth(data, frame) >= 3
    ? [columns(data, frame)] : data.series.map((entry, index) => line(entry.points, index, data, frame)))];
}

function grid({ start, end, zone }, { width, height, left, x, y, ticks, labels }) {
  const rows = ticks.values.map((value, index) => svg("g", { class: value === 0 ? "zero" : "" },
    svg("line", { x1: left, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, labels[index])));
  const times = timeMarks(start, end, Math.max(2, Math.floor((width - left) / 72)), zone).map(({ at, label }) => {
    const across = Math.min(x(at), width - RIGHT - 18);
    return svg("g", { class: "mark" }, svg("line", { x1: x(at), x2: x(at), y1: height - BOTTOM, y2: height - BOTTOM + 4 }),
      svg("text", { x: Math.max(across, left), y: height - 7, "text-anchor": "middle" }, label));
  });
  return [svg("g", { class: "grid" }, rows, times)];
}

function columnWidth({ step }, { x }) {
  return x(step) - x(0);
}

function columns(data, frame) {
  const wide = columnWidth(data, frame);
  const gap = wide > 6 ? Math.min(4, wide * 0.2) : 0.5;
  return svg("g", { class: "columns s0" }, data.series[0].points.map(({ at, value, partial }) => {
    const [from, to] = [frame.y(0), frame.y(value)];
    return svg("rect", {
      class: partial || at + data.step > data.now ? "part" : "", x: (frame.x(at) + gap / 2).toFixed(2), width: (wide - gap).toFixed(2),
      y: Math.min(from, to).toFixed(2), height: Math.max(1, Math.abs(from - to)).toFixed(2), rx: wide > 8 ? 2 : 0,
    });
  }));
}

/** A line that is broken where a window has no data; a point alone, and each where few are, has a dot. */
function line(points, index, { step, now }, { x, y }) {
  const few = x(step) - x(0) >= 8;
  const isPart = (point) => point.partial || point.at + step > now;
  const follows = (one, other) => one && other && other.at - one.at < 1.5 * step;
  const spot = ({ at, value }) => `${x(at + step / 2).toFixed(2)} ${y(value).toFixed(2)}`;
  let [whole, part] = ["", ""];
  const dots = [];
  points.forEach((point, place) => {
    const [before, after] = [points[place - 1], points[place + 1]];
    const joined = follows(before, point);
    const pale = joined && (isPart(before) || isPart(point)); // the way to what is not whole is paler
    if (pale) part += `M${spot(before)}L${spot(point)}`;
    whole += `${joined && !pale ? "L" : "M"}${spot(point)}`;
    if (few || !(joined || follows(point, after))) {
      const [cx, cy] = spot(point).split(" ");
      dots.push(svg("circle", { cx, cy, r: few ? 2.5 : 2, class: isPart(point) ? "part" : "" }));
    }
  });
  return svg("g", { class: `line s${index % 8}` }, svg("path", { d: whole || "M0 0", "stroke-dasharray": DASHES[index % 8] }),
    part && svg("path", { d: part, class: "pale", "stroke-dasharray": "3 4" }), dots);
}

function cursorAt({ step, series }, { x, y, height }, at, values) {
  const across = x(at + step / 2);
  return svg("g", { class: "cursor" }, svg("line", { x1: across, x2: across, y1: TOP, y2: height - BOTTOM }),
    series.map((_, index) => values[index] && svg("circle", { class: `s${index % 8}`, cx: across, cy: y(values[index].value), r: 4 })));
}
