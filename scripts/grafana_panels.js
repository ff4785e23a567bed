/** Draws each of PANELS into its place, with uPlot. */

const INKS = ["#73BF69", "#F2CC0C", "#5794F2", "#FF9830", "#F2495C", "#B877D9"];
const shown = (number) => number === null ? "-" : Number(number.toPrecision(3)).toLocaleString("en");
for (const { node, height, lines } of PANELS.map((panel, at) => ({ ...panel, node: document.getElementById(`panel-${at}`) }))) {
  const times = [...new Set(lines.flatMap(({ datapoints }) => datapoints.map(([, at]) => at)))].sort((a, b) => a - b);
  const columns = lines.map(({ datapoints }) => {
    const known = new Map(datapoints.map(([number, at]) => [at, number]));
    return times.map((at) => known.get(at) ?? null);
  });
  const axis = { stroke: "#8e8e9c", grid: { stroke: "#2a2c32", width: 1 }, ticks: { stroke: "#2a2c32", width: 1 }, font: "12px Inter, DejaVu Sans, sans-serif" };
  const day = (at) => new Date(1000 * at).toISOString();
  const mark = (at) => at % 86400 ? day(at).slice(11, 16) : `${day(at).slice(5, 7)}/${day(at).slice(8, 10)}`;
  const room = height - 34 - 26 - 22 * lines.length;
  new uPlot({
    width: node.clientWidth - 20, height: room, legend: { show: false }, cursor: { show: false }, padding: [6, 8, 0, 0], tzDate: (at) => uPlot.tzDate(new Date(1000 * at), "Etc/UTC"),
    axes: [{ ...axis, values: (_, at) => at.map(mark) }, { ...axis, size: 52, values: (_, at) => at.map(shown) }],
    scales: { y: { range: (_, low, high) => uPlot.rangeNum(Math.min(0, low), high, { min: { pad: 0, soft: 0, mode: 1 }, max: { pad: 0.1, mode: 0 } }) } },
    series: [{}, ...lines.map((_, at) => ({ stroke: INKS[at % INKS.length], width: 1, fill: `${INKS[at % INKS.length]}1a`, points: { show: false } }))],
  }, [times, ...columns], node.querySelector(".plot"));
  const row = (at) => {
    const known = columns[at].filter((number) => number !== null);
    return [lines[at].target, known.length ? shown(Math.max(...known)) : "-", known.length ? shown(known.at(-1)) : "-"];
  };
  node.querySelector("tbody").append(...lines.map((_, at) => {
    const line = document.createElement("tr");
    line.append(...row(at).map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    line.firstChild.prepend(Object.assign(document.createElement("i"), { style: `background: ${INKS[at % INKS.length]}` }));
    return line;
  }));
}
