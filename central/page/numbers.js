/** Numbers: exact ones as the service wrote them, round ones for axes. */

/** A reviver for JSON.parse that keeps a number's digits where a double cannot. The browser may not give them. */
export function exact(_, value, context) {
  if (typeof value !== "number" || context?.source === undefined || String(value) === context.source) return value;
  return new Exact(value, context.source);
}

/** A number whose text has more digits than a double. */
class Exact extends Number {
  constructor(value, text) {
    super(value);
    this.digits = text;
  }
}

/** The digits of a number as they came, in groups of three. */
export function digits(value) {
  const text = value.digits ?? String(value);
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text;
  const [whole, decimals] = text.split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (decimals ? `.${decimals}` : "");
}

/** A number short enough for an axis whose marks are `step` apart. The `largest` mark decides how all are written. */
export function short(value, step, largest = Math.abs(value)) {
  const notation = largest >= 1e16 ? "scientific" : largest >= 10_000 ? "compact" : "standard";
  const thousands = 1_000 ** Math.min(4, Math.floor(Math.log10(largest) / 3 + 1e-9)); // compact ends at trillions
  const unit = { scientific: largest, compact: thousands, standard: 1 }[notation];
  const decimals = Math.min(6, Math.max(notation === "standard" ? 0 : 2, -Math.floor(Math.log10(step / unit) + 1e-9)));
  return new Intl.NumberFormat("en", { notation, maximumFractionDigits: decimals }).format(value);
}

/** Marks at 1, 2 or 5 times a power of ten that span low to high, about `count` of them. low <= high. */
export function marks(low, high, count) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const values = [];
  for (let index = first; index <= last; index += 1) values.push(index * step);
  return { step, values: values.map((value) => Number(value.toPrecision(12))) };
}
