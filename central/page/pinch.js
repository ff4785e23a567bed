/** Two fingers on a chart zoom it: what lies under them stays under them. */

const LEAST_PIXELS = 24; // fingers that are closer say nothing of a range

/**
 * `at()` gives the range that is drawn and where: `{start, end, left, width}`, in seconds and pixels. `show(start, end)` is called while
 * the fingers move, and `done(start, end)` when one of them is lifted. A gesture that the browser takes for scrolling ends without it.
 * Returns whether two fingers are down.
 */
export function pinching(node, { at, show, done }) {
  const fingers = new Map(); // pointer: x
  let held = null; // the two times under the fingers, and the place of the chart
  let found = null;

  const spread = () => [...fingers.values()].sort((one, other) => one - other);
  const end = (event) => {
    fingers.delete(event.pointerId);
    if (held && found) (event.type === "pointerup" ? done : show)(...(event.type === "pointerup" ? found : held.whole));
    held = null;
    found = null;
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, event.clientX);
    if (fingers.size !== 2) return;
    const { start, end: last, left, width } = at();
    const [one, other] = spread();
    const time = (x) => start + ((x - left) / width) * (last - start);
    held = other - one < LEAST_PIXELS ? null : { times: [time(one), time(other)], left, width, whole: [start, last] };
  });
  node.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event.clientX);
    const [one, other] = spread();
    if (!held || other - one < LEAST_PIXELS) return;
    const perPixel = (held.times[1] - held.times[0]) / (other - one);
    const start = held.times[0] - (one - held.left) * perPixel;
    found = [start, start + held.width * perPixel];
    show(...found);
  });
  for (const kind of ["pointerup", "pointercancel"]) node.addEventListener(kind, end);
  return () => fingers.size > 1;
}
