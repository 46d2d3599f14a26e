// What happens on a chart: the line of figures in its head, and the range a drag or a wheel leaves behind.

// Which place of a candle's customdata holds what: CUSTOM in figure.py.
const AVG = 0;
const COUNT = 1;
const whole = new Intl.NumberFormat("en-US");

/** A score as text with its sign; what is shown as zero has none. */
export function signed(score, digits = 3) {
  const size = Math.abs(score).toFixed(digits);
  if (Number(size) === 0) return size;
  return `${score < 0 ? "−" : "+"}${size}`;
}

/** The figures of one candle, [name, text, tone]: the one under the pointer, or the newest before `stop_ms`. */
export function figures(hover, candles, stop_ms = Infinity) {
  if (!candles?.x?.length) return [];
  const point = hover?.points?.find((each) => each.curveNumber === 0);
  const at = point?.pointIndex ?? point?.pointNumber ?? candles.x.findLastIndex((each_ms) => each_ms < stop_ms);
  if (!(at in candles.x)) return [];
  const [open, close] = [candles.open[at], candles.close[at]];
  const tone = close === open ? "flat" : close > open ? "rising" : "falling";
  return [
    ["O", signed(open), tone],
    ["H", signed(candles.high[at]), tone],
    ["L", signed(candles.low[at]), tone],
    ["C", signed(close), tone],
    ["avg", signed(candles.customdata[at][AVG]), "average"],
    ["n", whole.format(candles.customdata[at][COUNT]), "plain"],
  ];
}

/** The range of time a drag or wheel left a chart at, [start_ms, end_ms], or null when it did something else. */
export function rangeOf(relayout) {
  const start = relayout?.["xaxis.range[0]"] ?? relayout?.["xaxis.range"]?.[0];
  const end = relayout?.["xaxis.range[1]"] ?? relayout?.["xaxis.range"]?.[1];
  if (start === undefined || end === undefined) return null;
  const range = [start, end].map(moment_ms);
  return range.every(Number.isFinite) && range[0] < range[1] ? range : null;
}

// Plotly writes moments as "2014-06-03 09:00:00.1234", in the axis's own time, which is UTC here.
function moment_ms(value) {
  if (typeof value === "number") return value;
  const [, day, time = "00:00"] = /^(-?\d+-\d\d-\d\d)(?: ([\d:]+(?:\.\d{1,3})?))?/.exec(value) ?? [];
  return day ? Date.parse(`${day}T${time.length === 2 ? `${time}:00` : time}Z`) : NaN;
}
