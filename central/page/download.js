/** Files that a person saves: the values as CSV, the chart as a picture. */

import { el } from "./dom.js";
import { looksOf } from "./plot.js";

const EDGE = 16;
const LINE = 22;

/** Hand a file to the browser. */
export function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** The CSV of several answers as one. A column that only some of them have is empty in the others. No value has a comma. */
export function joinedCsv(texts) {
  const tables = texts.map((text) => text.trimEnd().split("\r\n").map((row) => row.split(",")));
  const columns = [...new Set(tables.flatMap(([head]) => head))];
  const rows = tables.flatMap(([head, ...body]) => body.map((row) => columns.map((column) => row[head.indexOf(column)] ?? "")));
  return [columns, ...rows].map((row) => `${row.join(",")}\r\n`).join("");
}

/** A name for a file, of what is in it. */
export function fileName(words, ending) {
  return `${words.replaceAll(/[^A-Za-z0-9._-]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 80) || "chart"}.${ending}`;
}

/** The chart with its title and its lines, as a PNG. `shown` is what Chart gives. */
export function picture({ canvas, lines, inks }, { title, note }) {
  const ratio = devicePixelRatio;
  const width = canvas.width / ratio + 2 * EDGE;
  const height = canvas.height / ratio + 2 * EDGE + LINE * (lines.length + 2);
  const sheet = el("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const pen = sheet.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = inks.card;
  pen.fillRect(0, 0, width, height);
  write(pen, title, EDGE, EDGE + 14, inks.ink, "bold 15px system-ui, sans-serif", width - 2 * EDGE);
  pen.drawImage(canvas, EDGE, EDGE + LINE, canvas.width / ratio, canvas.height / ratio);
  let down = EDGE + LINE + canvas.height / ratio + LINE;
  lines.forEach(({ name, place, before }, index) => {
    pen.strokeStyle = `rgb(${inks.lines[index]})`;
    pen.lineWidth = before ? 1.5 : 3;
    pen.setLineDash(before ? [2, 4] : looksOf(place).dash);
    pen.beginPath();
    pen.moveTo(EDGE, down - 4);
    pen.lineTo(EDGE + 20, down - 4);
    pen.stroke();
    write(pen, name, EDGE + 28, down, inks.ink, "13px system-ui, sans-serif", width - 2 * EDGE - 28);
    down += LINE;
  });
  write(pen, note, EDGE, down, inks.soft, "12px system-ui, sans-serif", width - 2 * EDGE);
  return new Promise((done) => sheet.toBlob(done, "image/png"));
}

function write(pen, text, left, base, ink, font, most) {
  pen.fillStyle = ink;
  pen.font = font;
  pen.fillText(text, left, base, most);
}
