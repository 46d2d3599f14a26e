// Figures: the blanks that figure.py sends with the page, filled in with candles. A test holds a figure made here and
// the one that the server makes of the same buckets to be one and the same.

import { signed } from "./chart.mjs";

// As in figure.py.
const AVG = 0;
const COUNT = 1;
const [ZERO, LEVEL, BAND] = [0, 1, 2]; // the shapes

/**
 * The figure of a ticker. `columns` is what chunks.joined gives, and may reach beyond the window; `look` is {theme,
 * touch}. What is said of the newest candle and of counts is said of those in the window.
 */
export function figureOf(blanks, { ticker, scorer, resolution, width_ms }, columns, window, now_ms, look) {
  return {
    data: tracesOf(blanks, ticker, resolution, width_ms, columns, window),
    layout: layoutOf(blanks, { ticker, scorer, resolution, width_ms }, columns, window, now_ms, look),
  };
}

function tracesOf(blanks, ticker, resolution, width_ms, columns, window) {
  const { x, open, high, low, close, custom } = columns;
  const first_ms = x.length ? Math.min(x[0], window.first_ms) : window.first_ms;
  const flat = [...x.keys()].filter((at) => high[at] === low[at]);
  const nothing = [null, null];
  const data = [
    { name: ticker, x, open, high, low, close, customdata: custom },
    { x, y: custom.map((each) => each[COUNT]) },
    averages(columns, width_ms, blanks.bridged_widths),
    { x: [first_ms, ...flat.map((at) => x[at])], y: [null, ...flat.map((at) => close[at])] },
    { x: [first_ms, first_ms + width_ms], open: nothing, high: nothing, low: nothing, close: nothing },
  ];
  return blanks.traces[resolution].map((stub, at) => ({ ...stub, ...data[at] }));
}

function averages({ x, custom }, width_ms, bridged) {
  const line = { x: [], y: [] };
  let before_ms = null;
  x.forEach((start_ms, at) => {
    if (before_ms !== null && start_ms - before_ms > bridged * width_ms) {
      line.x.push(before_ms + width_ms);
      line.y.push(null);
    }
    line.x.push(start_ms);
    line.y.push(custom[at][AVG]);
    before_ms = start_ms;
  });
  return line;
}

/** The layout of a figure: the blank one of its theme, with the range, the newest close, the open bucket and so on. */
export function layoutOf(blanks, { ticker, scorer, resolution, width_ms }, columns, window, now_ms, look) {
  const blank = blanks.layouts[look.theme];
  const colours = blanks.tones[look.theme];
  const open_ms = openBucket(window, width_ms, now_ms);
  const [rows, most] = inView(columns, window);
  const [opened, close] = rows ? [columns.open[rows - 1], columns.close[rows - 1]] : [0, 0];
  const colour = close === opened ? colours.flat : close > opened ? colours.rising : colours.falling;
  const level = { ...blank.shapes[LEVEL], y0: close, y1: close, line: { ...blank.shapes[LEVEL].line, color: colour } };
  const band = { x0: moment(open_ms ?? 0), x1: moment((open_ms ?? 0) + width_ms), opacity: open_ms === null ? 0 : 1 };
  const opacity = rows ? 1 : 0;
  return {
    ...blank,
    dragmode: look.touch ? false : "pan",
    xaxis: { ...blank.xaxis, range: [moment(window.start_ms), moment(window.end_ms)] },
    yaxis2: { ...blank.yaxis2, range: [0, scaleEnd(most, blanks.scale_steps)] },
    shapes: [blank.shapes[ZERO], { ...level, opacity }, { ...blank.shapes[BAND], ...band }],
    annotations: [{ ...blank.annotations[0], y: close, text: signed(close), bgcolor: colour, opacity }],
    meta: { ticker, theme: look.theme, resolution, scorer, width_ms, open_bucket_ms: open_ms },
  };
}

/** Where the scale of counts ends, as figure.scale_end has it. */
function scaleEnd(most, steps) {
  let unit = 1;
  while (steps.at(-1) * unit * 12 < most * 13) unit *= 10;
  return steps.find((step) => step * unit * 12 >= most * 13) * unit;
}

/** Up to which candle the window reaches, 0 when none is in it, and the highest count of those in it. */
function inView({ x, custom }, window) {
  let [at, most, rows] = [x.length - 1, 0, 0];
  while (at >= 0 && x[at] >= window.stop_ms) at -= 1;
  if (at >= 0 && x[at] >= window.first_ms) rows = at + 1;
  for (; at >= 0 && x[at] >= window.first_ms; at -= 1) most = Math.max(most, custom[at][COUNT]);
  return [rows, most];
}

function openBucket({ first_ms, end_ms }, width_ms, now_ms) {
  const start_ms = Math.floor(now_ms / width_ms) * width_ms;
  return start_ms >= first_ms && start_ms < end_ms ? start_ms : null;
}

/** A moment as Plotly takes it for UTC, whatever the zone of the browser. */
export function moment(each_ms) {
  return new Date(each_ms).toISOString().slice(0, 23).replace("T", " ");
}

/** A bucket's start and end in UTC, as figure.interval_text in Python writes them. */
export function intervalText(start_ms, width_ms) {
  const [begin, stop] = [start_ms, start_ms + width_ms].map((each_ms) => new Date(each_ms).toISOString());
  const [day, time] = [stop.slice(5, 10), stop.slice(11, 16)];
  const end = stop.slice(0, 10) === begin.slice(0, 10) ? time : `${day} ${time}`;
  return `${begin.slice(0, 10)} ${begin.slice(11, 16)} – ${end} UTC`;
}

/** The sources in one line; many are counted. */
export function sourcesText(sources) {
  const shown = sources.slice(0, SOURCES_SHOWN).join(", ");
  return sources.length <= SOURCES_SHOWN ? shown : `${shown} and ${sources.length - SOURCES_SHOWN} more`;
}

const SOURCES_SHOWN = 4;
