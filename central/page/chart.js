/**
 * A chart over time, drawn by uPlot: lines, or columns for one series; gaps where there is no data; a read-out that
 * follows the pointer and, on a slider under it, the keyboard.
 */

import { el } from "./dom.js";
import { rowsOf, scaleOf, sidesOf, windowsOf } from "./grid.js";
import { pinching } from "./pinch.js";
import { areWide, looksOf, optionsOf } from "./plot.js";
import { Readout, reading } from "./readout.js";
import { moment } from "./time.js";
import uPlot from "./uplot/uPlot.esm.js";

const AXIS_HEIGHT = 40;
const PAPER_WIDTH = 680; // of A4 and of letter paper, less their margins
const AWAY = { left: -10, top: -10 };

/**
 * `label` says what is shown, `height` is in pixels, `text` writes a value for the read-out, `least` is the smallest
 * top of the scale, `zoomed(from, to)` is called after a drag across the chart or a pinch, `toggled(name)` when a line is hidden.
 * `draw(data)` takes `series` of `{name, unit, points: [{at, value, partial}], hidden, before}` with rising times, `start`, `end` and
 * `step` in seconds, `zone`, `columns` or `fromZero`, and `now`: a window that ends after it is not whole yet, and a `partial` one neither.
 * Days of a clock change are an hour off `step`. `ages`: the latest values say how old they are. `sides`: a second scale where it helps.
 */
export class Chart {
  #data = null;
  #frame = null;
  #plot = null;
  #shape = "";
  #cursor = null; // the start of the window that is read, null for the latest
  #paper = 0; // the width while the page is printed
  #byKey = false; // whether the slider chose it, and not the pointer

  constructor({ label, height = 280, text = String, least = 0, zoomed, toggled }) {
    Object.assign(this, { label, height, text, least, zoomed });
    this.picture = el("div", { class: "canvas", role: "img" });
    this.slider = el("input", { type: "range", min: 0, step: 1, class: "scrub", "aria-label": `${label}: time of the read-out` });
    this.plot = el("div", { class: "plot" }, this.picture, this.slider);
    this.readout = new Readout({ text, toggled });
    this.node = el("figure", { class: "chart", "aria-label": label }, this.plot, this.readout.node);
    this.slider.addEventListener("input", () => this.#move(Number(this.slider.value)));
    this.slider.addEventListener("blur", () => this.#leave());
    const twoFingers = zoomed ? pinching(this.plot, { at: () => this.#place(), show: (from, to) => this.#show(from, to), done: zoomed }) : () => false;
    for (const kind of ["pointerdown", "pointermove"]) this.plot.addEventListener(kind, (event) => twoFingers() || this.#touch(event));
    new ResizeObserver(() => this.#redraw()).observe(this.plot);
    new MutationObserver(() => this.#redraw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
    for (const [when, width] of [["beforeprint", PAPER_WIDTH], ["afterprint", 0]]) {
      window.addEventListener(when, () => { this.#paper = width; this.#redraw(); });
    }
  }

  /** Draw; what was read stays, as long as it is in the range. */
  draw(data) {
    const sides = data.sides ? sidesOf(data.series.filter(({ hidden }) => !hidden)) : [];
    let shown = 0;
    const series = data.series.map((line, index) => ({ ...line, place: line.place ?? index, side: line.hidden ? 0 : sides[shown++] ?? 0 }));
    this.#data = { ...data, series };
    this.#redraw();
  }

  /** The drawn canvas, and the lines with their values as the read-out has them now: for a picture file. */
  get shown() {
    return { canvas: this.#plot?.ctx.canvas, lines: this.#data?.series.filter(({ hidden }) => !hidden) ?? [], inks: this.#frame?.inks };
  }

  /** The range in words. */
  get span() {
    const { start, end, step, zone } = this.#data;
    return `${moment(start, zone, step)} to ${moment(end, zone, step)}`;
  }

  #redraw() {
    if (!this.#data || !this.plot.clientWidth) return;
    this.#frame = this.#framed();
    const shape = JSON.stringify([this.#frame.lines.map(({ place, side, before }) => [place, side, before]), this.#frame.columns, this.#frame.scales.length]);
    const width = this.#paper || this.plot.clientWidth;
    if (shape !== this.#shape) {
      this.#plot?.destroy();
      const moved = (plot) => this.#moved(plot);
      this.#plot = new uPlot(optionsOf(() => this.#frame, { width, height: this.height, zoomed: this.zoomed, moved }), this.#frame.rows, this.picture);
    } else {
      if (width !== this.#plot.width) this.#plot.setSize({ width, height: this.height });
      this.#plot.setData(this.#frame.rows);
    }
    this.#shape = shape;
    if (this.#byKey && this.#frame.windows.includes(this.#cursor)) this.#point();
    this.picture.setAttribute("aria-label", `${this.label}. ${summary(this.#data, this.text)}`);
    this.#read();
  }

  /** All that is drawn now: rows of numbers, scales and colours. */
  #framed() {
    const { series, start, end, step, zone, fromZero } = this.#data;
    const lines = series.filter(({ hidden }) => !hidden);
    const columns = Boolean(this.#data.columns) && lines.length === 1 && areWide(this.#data, this.#paper || this.plot.clientWidth);
    const windows = windowsOf(lines, this.#data);
    const rows = lines.flatMap((line) => rowsOf(line, windows, this.#data, !columns));
    const how = { columns, fromZero, least: this.least, height: this.height - AXIS_HEIGHT };
    const scales = [0, 1].map((side) => lines.filter((line) => line.side === side)).filter((some, side) => side === 0 || some.length).map((some) => scaleOf(some, how));
    return { lines, windows, rows: [windows.map((at) => at + step / 2), ...rows], scales, start, end, step, zone, columns, inks: this.#inks(lines) };
  }

  /** The colours of the page as a canvas takes them. */
  #inks(lines) {
    const probe = el("span");
    this.picture.append(probe);
    const read = (name) => { probe.className = name; return getComputedStyle(probe).color; };
    const inks = { soft: read("ink-soft"), line: read("ink-line"), edge: read("ink-edge"), card: read("ink-card"), ink: read("ink-ink"), // whose classes are in parts.css
      lines: lines.map(({ place }) => read(`s${looksOf(place).colour}`).match(/\d+/g).slice(0, 3).join(" ")) };
    probe.remove();
    return inks;
  }

  /** Read a window by its place in the range. */
  #move(index) {
    if (!this.#plot) return;
    const place = Math.min(this.#frame.windows.length - 1, Math.max(0, index));
    this.#byKey = true;
    this.#cursor = this.#frame.windows[place];
    this.#point();
    this.#read();
  }

  #leave() {
    this.#byKey = false;
    this.#plot?.setCursor(AWAY);
    this.#cursor = null;
    this.#read();
  }

  #point() {
    this.#plot.setCursor({ left: this.#plot.valToPos(this.#cursor + this.#data.step / 2, "x"), top: 10 }, false);
  }

  /** The pointer moved; uPlot says to which window. */
  #moved(plot) {
    if (this.#byKey) return;
    const index = plot.cursor.left >= 0 ? plot.cursor.idx : null;
    this.#cursor = index === null || index === undefined ? null : this.#frame.windows[index] ?? null;
    this.#read();
  }

  #touch(event) {
    this.#byKey = false;
    if (event.pointerType === "mouse" || !this.#plot) return;
    const { left, width } = this.#plot.over.getBoundingClientRect();
    this.#plot.setCursor({ left: Math.min(width, Math.max(0, event.clientX - left)), top: 10 });
  }

  /** The range that is drawn, and where. */
  #place() {
    const { left, width } = this.#plot.over.getBoundingClientRect();
    return { start: this.#frame.start, end: this.#frame.end, left, width };
  }

  /** Draw what is there over another range, until the next answer. */
  #show(start, end) {
    Object.assign(this.#frame, { start, end });
    this.#plot.setData(this.#frame.rows);
  }

  #read() {
    if (!this.#data) return;
    const at = this.#frame.windows.includes(this.#cursor) ? this.#cursor : null;
    const found = reading(this.#data, at);
    const latest = found.points.reduce((last, point) => Math.max(last, point?.at ?? 0), 0);
    this.slider.max = Math.max(0, this.#frame.windows.length - 1);
    this.slider.value = Math.max(0, this.#frame.windows.indexOf(at ?? latest));
    this.slider.setAttribute("aria-valuetext", this.readout.show(this.#data, found, at === null));
  }
}

/** The first sentence for a person who cannot see the chart. */
function summary({ series, start, end, step, zone }, text) {
  const span = `From ${moment(start, zone, step)} to ${moment(end, zone, step)}`;
  const parts = series.filter(({ hidden }) => !hidden).map(({ name, points }) => {
    if (!points.length) return `${name}: no data`;
    const values = points.map((point) => point.value);
    const low = values.reduce((found, value) => (value < found ? value : found));
    const high = values.reduce((found, value) => (value > found ? value : found));
    return `${name}: ${points.length} windows with data, from ${text(low)} to ${text(high)}, latest ${text(values.at(-1))}`;
  });
  return `${span}. ${parts.join(". ")}.`;
}
