/** What uPlot draws: scales, axes, and two rows per line, one for whole windows and a pale one for parts. */

import uPlot from "./uplot/uPlot.esm.js";
import { timeMarks } from "./time.js";

export const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [2, 2, 6, 2], [1, 4]];
const FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
const FONT = `12px ${FAMILY}`;
const MARK_WIDTH = 62; // of "03:32:30" and a gap
const LEAST_COLUMN = 3;
const DOTS_APART = 8;
const BEFORE = [2, 4];

/** The colour and the dash of a line, by its place: 64 of them differ. */
export function looksOf(place) {
  return { colour: place % 8, dash: DASHES[(place + Math.floor(place / 8)) % 8] };
}

/** The options of a chart. `frame()` is what is drawn now: its lines, scales, range and colours, read at each drawing. */
export function optionsOf(frame, { width, height, zoomed, moved }) {
  const { lines, scales } = frame();
  return {
    width, height, legend: { show: false }, padding: [10, scales[1] ? 0 : MARK_WIDTH / 2, 0, 0],
    cursor: { y: false, drag: { x: Boolean(zoomed), y: false, setScale: false, dist: 6 }, points: { size: 8, show: (chart, row) => row % 2 === 1 && cursorDot(frame, row) } },
    scales: {
      x: { time: false, range: () => [frame().start, frame().end] },
      left: { range: () => [frame().scales[0].low, frame().scales[0].high] },
      ...(scales[1] ? { right: { range: () => [frame().scales[1].low, frame().scales[1].high] } } : {}),
    },
    axes: [timeAxis(frame), valueAxis(frame, 0), ...(scales[1] ? [valueAxis(frame, 1)] : [])],
    series: [{}, ...lines.flatMap((line, place) => rowsOfLine(frame, line, place))],
    hooks: { setSelect: [(chart) => select(chart, zoomed)], setCursor: [moved], draw: [(chart) => sayNothing(chart, frame())] },
  };
}

function timeAxis(frame) {
  const found = (chart) => {
    const { start, end, zone, scales } = frame();
    const across = chart.bbox.width / uPlot.pxRatio;
    const fits = ({ at }) => scales[0].width + ((at - start) / (end - start)) * across >= MARK_WIDTH / 2; // else the edge cuts its label
    return timeMarks(start, end, Math.max(2, Math.floor(across / MARK_WIDTH)), zone).filter(fits);
  };
  return {
    font: FONT, size: 30, gap: 6, stroke: () => frame().inks.soft, grid: { show: false }, ticks: { size: 4, width: 1, stroke: () => frame().inks.edge },
    border: { show: true, width: 1, stroke: () => frame().inks.edge }, splits: (chart) => found(chart).map(({ at }) => at), values: (chart) => found(chart).map(({ label }) => label),
  };
}

function valueAxis(frame, side) {
  return {
    scale: ["left", "right"][side], side: side ? 1 : 3, font: FONT, gap: 6, stroke: () => frame().inks.soft, size: () => frame().scales[side].width,
    grid: { show: side === 0, width: 1, stroke: () => frame().inks.line }, ticks: { show: false },
    splits: () => frame().scales[side].values, values: () => frame().scales[side].labels,
  };
}

/** The two rows of a line. Columns need three pixels each; narrower ones are a line. */
function rowsOfLine(frame, { place: looks, side, before }, place) {
  const { dash } = looksOf(looks);
  const colour = (pale) => () => `rgb(${frame().inks.lines[place]} / ${pale ? 45 : 100}%)`;
  const common = { scale: ["left", "right"][side], ...(frame().columns ? columnRow(frame) : {}) };
  const filled = (pale) => (frame().columns ? { fill: colour(pale), width: 0, points: { show: false } } : {});
  const width = before ? 1.25 : 2;
  return [
    { ...common, stroke: colour(before), width, dash: before ? BEFORE : dash, points: before ? { show: false } : dots(colour(false), colour(false)), ...filled(before) },
    { ...common, stroke: colour(true), width, dash: [3, 4], points: before ? { show: false } : dots(colour(false), () => frame().inks.card, true), ...filled(true) },
  ];
}

function columnRow(frame) {
  const { step } = frame();
  const values = (chart) => chart.data[0].map((at) => at - step * 0.4);
  return { paths: uPlot.paths.bars({ disp: { x0: { unit: 1, values }, size: { unit: 1, values: () => [frame().step * 0.8] } } }) };
}

/** Dots where the windows are wide; else only on points that stand alone. The row of parts has dots on the parts alone. */
function dots(stroke, fill, parts = false) {
  const alone = (row, index) => row[index] !== null && (row[index - 1] ?? null) === null && (row[index + 1] ?? null) === null;
  return {
    show: true, size: 5, width: parts ? 1.5 : 0, stroke, fill,
    filter: (chart, row) => {
      const values = chart.data[row];
      const wide = chart.valToPos(chart.data[0][1] ?? 0, "x") - chart.valToPos(chart.data[0][0], "x") >= DOTS_APART;
      const shown = parts ? (index) => values[index] !== null && chart.data[row - 1][index] === null && (wide || alone(values, index)) : (index) => values[index] !== null && (wide || (alone(values, index) && (chart.data[row + 1][index - 1] ?? chart.data[row + 1][index + 1] ?? null) === null));
      return values.map((_, index) => index).filter(shown);
    },
  };
}

function cursorDot(frame, row) {
  const dot = document.createElement("div");
  dot.className = `u-cursor-pt s${looksOf(frame().lines[(row - 1) / 2].place).colour}`;
  return dot;
}

function select(chart, zoomed) {
  const { left, width } = chart.select;
  if (width < 1) return;
  const [from, to] = [left, left + width].map((across) => chart.posToVal(across, "x"));
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoomed?.(from, to);
}

/** Where no line has a point, the picture says so instead of lying empty. */
function sayNothing({ ctx, bbox }, { lines, inks }) {
  if (lines.some(({ points }) => points.length)) return;
  ctx.save();
  Object.assign(ctx, { font: `${14 * uPlot.pxRatio}px ${FAMILY}`, fillStyle: inks.soft, textAlign: "center", textBaseline: "middle" });
  ctx.fillText(lines.length ? "Nothing to draw in this range" : "All lines are hidden", bbox.left + bbox.width / 2, bbox.top + bbox.height / 2);
  ctx.restore();
}

/** Whether you can see columns of these windows as separate ones. */
export function areWide({ start, end, step }, width) {
  return (step / (end - start)) * width >= LEAST_COLUMN;
}
