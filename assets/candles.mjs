// Figures that follow the stream: the traces of figure.py, with buckets as the API writes them merged in. A figure that
// was moved equals the one the server makes of the same buckets, which the browser tests compare.

import { signed } from "./chart.mjs";

const COLUMNS = ["open", "high", "low", "close"];
// As in figure.py.
const COUNT = 1;
const BRIDGED_WIDTHS = 3;
const SOURCES_SHOWN = 4;

/** Whether a bucket of the stream is newer than the same one in a figure: buckets only ever grow. */
export function isNews(figure, row) {
  const { x, customdata } = figure.data[0];
  const at = placeOf(x, Date.parse(row.timestamp));
  return x[at] !== Date.parse(row.timestamp) || customdata[at][COUNT] < row.count;
}

/** A figure with buckets changed in place or put in between; the same object when it held them all already. */
export function moved(figure, rows, colours) {
  const news = rows.filter((row) => isNews(figure, row));
  if (!news.length) return figure;
  const { width_ms } = figure.layout.meta;
  const [held, counted] = figure.data;
  const candles = { ...held, x: [...held.x], customdata: [...held.customdata] };
  for (const name of COLUMNS) candles[name] = [...held[name]];
  for (const row of news) put(candles, row, width_ms);
  const counts = { ...counted, x: candles.x, y: candles.customdata.map((custom) => custom[COUNT]) };
  const data = [candles, counts, averages(figure.data[2], candles, width_ms), ...marks(candles, width_ms, figure)];
  return { ...figure, data, layout: levelled(figure.layout, candles, counts, colours) };
}

function put(candles, row, width_ms) {
  const start_ms = Date.parse(row.timestamp);
  const at = placeOf(candles.x, start_ms);
  const replaced = candles.x[at] === start_ms ? 1 : 0;
  const { positive, neutral, negative } = row.label_counts;
  const interval = replaced ? candles.customdata[at][6] : intervalText(start_ms, width_ms);
  candles.x.splice(at, replaced, start_ms);
  for (const name of COLUMNS) candles[name].splice(at, replaced, row[name]);
  const custom = [row.avg, row.count, positive, neutral, negative, sourcesText(row.sources), interval];
  candles.customdata.splice(at, replaced, custom);
}

function averages(line, candles, width_ms) {
  const [x, y] = [[], []];
  candles.x.forEach((start_ms, at) => {
    if (x.length && start_ms - x.at(-1) > BRIDGED_WIDTHS * width_ms) {
      x.push(x.at(-1) + width_ms);
      y.push(null);
    }
    x.push(start_ms);
    y.push(candles.customdata[at][0]);
  });
  return { ...line, x, y };
}

/** The ticks of candles without a body, and the candles without values that tell Plotly how wide a bucket is. */
function marks(candles, width_ms, { data }) {
  const { xperiod, xperiod0, xperiodalignment } = candles;
  const shared = { hoverinfo: "skip", xperiod, xperiod0, xperiodalignment };
  const made = [];
  const flat = [...candles.x.keys()].filter((at) => candles.high[at] === candles.low[at]);
  if (flat.length) {
    const at = { x: flat.map((each) => candles.x[each]), y: flat.map((each) => candles.close[each]) };
    made.push({ type: "scatter", name: "flat", mode: "markers", ...at, ...shared });
  }
  // Once two buckets touch they always will, for buckets only come.
  const width = data.find((each) => each.name === "width");
  if (width && !candles.x.some((start_ms, at) => at > 0 && start_ms - candles.x[at - 1] === width_ms)) made.push(width);
  return made;
}

/** The layout with the newest close tagged on the scale, and room for the highest count. */
function levelled(layout, candles, counts, colours) {
  const [opened, closed] = [candles.open.at(-1), candles.close.at(-1)];
  const colour = closed === opened ? colours.flat : closed > opened ? colours.rising : colours.falling;
  const shapes = layout.shapes.map((shape) =>
    shape.type === "line" && shape.layer === "above"
      ? { ...shape, y0: closed, y1: closed, line: { ...shape.line, color: colour } }
      : shape,
  );
  const annotations = layout.annotations.map((tag) => ({ ...tag, y: closed, text: signed(closed), bgcolor: colour }));
  const yaxis2 = { ...layout.yaxis2, range: [0, Math.max(...counts.y) * 1.08] };
  return { ...layout, shapes, annotations, yaxis2 };
}

/** A bucket's start and end in UTC, as figure.interval_text in Python writes them. */
export function intervalText(start_ms, width_ms) {
  const [begin, stop] = [start_ms, start_ms + width_ms].map((moment) => new Date(moment).toISOString());
  const [day, time] = [stop.slice(5, 10), stop.slice(11, 16)];
  const end = stop.slice(0, 10) === begin.slice(0, 10) ? time : `${day} ${time}`;
  return `${begin.slice(0, 10)} ${begin.slice(11, 16)} – ${end} UTC`;
}

/** The sources in one line; many are counted. */
export function sourcesText(sources) {
  const shown = sources.slice(0, SOURCES_SHOWN).join(", ");
  return sources.length <= SOURCES_SHOWN ? shown : `${shown} and ${sources.length - SOURCES_SHOWN} more`;
}

/** Where in ascending numbers one stands, or would. */
function placeOf(numbers, number) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
