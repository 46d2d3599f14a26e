// The painter: Plotly lays a chart out and hears its mouse; its candles, counts, averages and ticks are drawn by the brush,
// and other data and other ranges are put into it without Plotly, whose own way draws the whole layout anew. The figure stays
// a standard one: only the `plot` and `style` steps of Plotly's trace modules are exchanged, for figures of ours, so a PNG
// shows the same candles.
//
// Plotly also takes numbers for moments in the zone of the browser, where they stand in data. Ours are UTC, and stay it.
//
// It rests on Plotly's internals (_fullData, _module, calcdata, _plots, the axes' _m, _b and _rl). So a self-check compares
// it with Plotly's own drawing when the page starts; where that fails, Plotly draws, and everything goes on, slower.

import * as brush from "./brush.mjs";
import { moment } from "./candles.mjs";

// The names that figure.py gives its traces beside the candles.
const NAMED = ["count", "average", "flat", "width"];
const CANDLES = 0;
const [LEVEL, BAND] = [1, 2]; // among the shapes, as in candles.mjs

const native = new Map();
let isOn = false;

/** Whether charts are painted here; Plotly draws them itself otherwise. */
export function isPainting() {
  return isOn;
}

/** Calls back as soon as Plotly is loaded, before anything is drawn with it. */
export function whenLoaded(act) {
  if (window.Plotly) {
    act(window.Plotly);
    return;
  }
  Object.defineProperty(window, "Plotly", {
    configurable: true,
    set(plotly) {
      Object.defineProperty(window, "Plotly", { value: plotly, writable: true, configurable: true });
      act(plotly);
    },
  });
}

/** Takes over the drawing, if what it draws is what Plotly draws. Says whether it is. */
export function install(plotly) {
  const host = document.createElement("div");
  const ends = [];
  try {
    ends.push(plotly.newPlot(host, SAMPLE(), SAMPLE_LAYOUT, { displayModeBar: false }));
    for (const { _module } of host._fullData) if (!native.has(_module)) exchange(_module);
    ends.push(plotly.react(host, SAMPLE(), SAMPLE_LAYOUT));
    const wanted = outlineOf(host, "path.box");
    isOn = true;
    ends.push(plotly.redraw(host));
    isOn = alike(wanted, outlineOf(host, "path.box"));
  } catch (error) {
    isOn = false;
    console.warn("Charts are drawn by Plotly alone:", error);
  }
  void Promise.allSettled(ends).then(() => plotly.purge(host));
  return isOn;
}

/** Gives the drawing back to Plotly, or takes it again; for tests that compare the two. */
export function enable(wanted) {
  isOn = wanted && native.size > 0;
}

/**
 * Puts another figure into a drawn chart: its arrays into the traces, and of its layout what depends on data. Nothing
 * that looks the same is made anew. Falls back to Plotly where the chart is not one of ours. Milliseconds.
 */
export function swap(plotly, chart, figure) {
  if (!isOn || !isOurs(chart) || chart.layout.meta.theme !== figure.layout.meta.theme) {
    // Plotly keeps what it is given, and writes into it.
    const data = figure.data.map((trace) => ({ ...trace }));
    return plotly.react(chart, data, structuredClone(figure.layout), chart._context);
  }
  fill(chart, figure);
  recalculate(chart, figure);
  const marks = marksOf(chart);
  relabel(chart, figure.layout);
  const { xaxis, yaxis2 } = figure.layout;
  if (!marks) return plotly.relayout(chart, { "xaxis.range": xaxis.range, "yaxis2.range": yaxis2.range });
  move(chart, { xaxis: xaxis.range, yaxis2: yaxis2.range }, marks);
  return Promise.resolve(chart);
}

/**
 * Shows the same chart with its newest candle changed: the last of `figure`'s candles, all others being equal. Says
 * whether it could; a tenth of a millisecond to one.
 */
export function tick(chart, figure) {
  if (!isOn || !isOurs(chart)) return false;
  const candles = chart._fullData[CANDLES];
  const last = candles.x.length - 1;
  const next = figure.data[CANDLES];
  const point = chart.calcdata[CANDLES]?.[last];
  const marks = marksOf(chart);
  const fits = point && next.x.length - 1 === last && next.x[last] === candles.x[last] && point.i === last;
  if (!fits || !marks) return false;
  fill(chart, figure);
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => next[name][last]);
  Object.assign(point, { min: low, q1: Math.min(open, close), med: close, q3: Math.max(open, close), max: high });
  Object.assign(point, { yc: (open + close) / 2, y: [low, high] });
  if (open !== close) point.dir = close > open ? "increasing" : "decreasing";
  relabel(chart, figure.layout);
  move(chart, { yaxis2: figure.layout.yaxis2.range }, marks, true);
  return true;
}

/** Brings a chart to another range of time, [start_ms, end_ms], with what it holds. */
export function pan(plotly, chart, range_ms) {
  const range = range_ms.map(moment);
  const marks = isOn && isOurs(chart) ? marksOf(chart) : null;
  if (marks) move(chart, { xaxis: range }, marks);
  else void plotly.relayout(chart, { "xaxis.range": range });
}

function fill(chart, { data }) {
  data.forEach((trace, at) => {
    for (const held of [chart.data[at], chart._fullData[at]]) Object.assign(held, trace);
    chart._fullData[at]._length = trace.x.length;
  });
}

/** What Plotly would do for other ranges of axes, by name: sets them, and draws what stands on them. */
function move(chart, ranges, marks, isTick = false) {
  const layout = chart._fullLayout;
  let isStill = isTick;
  for (const [name, range] of Object.entries(ranges)) {
    const axis = layout[name];
    if (range.every((end, at) => end === axis.range[at])) continue;
    isStill = false;
    chart.layout[name].range = [...range];
    axis.range = [...range];
    axis.setScale();
    axis._r = [...range];
    axis._rl = axis._r.map((end) => axis.r2l(end));
    // What a hand had chosen is over, as after any range that is set.
    for (const key of Object.keys(layout._preGUI)) if (key.startsWith(`${name}.`)) delete layout._preGUI[key];
  }
  const { xy, xy2 } = layout._plots;
  for (const [plotinfo, type] of [[xy, "candlestick"], [xy, "scatter"], [xy2, "bar"]]) {
    const cds = chart.calcdata.filter(([{ trace }]) => trace.type === type);
    const layer = plotinfo.plot.node().querySelector(`:scope > .${LAYERS[type]}`);
    if (layer) PAINT[type](plotinfo, cds, layer, chart._fullData[CANDLES], isStill);
  }
  mark(layout, marks);
  layout._rehover?.(); // the pointer may rest on a chart, and be on another candle now
}

function isOurs({ data }) {
  return data?.length === 5 && data[0].type === "candlestick" && NAMED.every((name, at) => data[at + 1].name === name);
}

const LAYERS = { candlestick: "boxlayer", bar: "barlayer", scatter: "scatterlayer" };
const PAINT = { candlestick: brush.candles, bar: brush.counts, scatter: brush.lines };

function exchange(module) {
  const { calc, plot, style, name } = module;
  native.set(module, { calc, plot, style });
  module.calc = (chart, trace) => {
    keepUtc(chart._fullLayout.xaxis);
    return calc(chart, trace);
  };
  module.plot = (chart, plotinfo, cds, layer, ...more) => {
    if (!isOn || !isOurs(chart)) {
      for (const left of layer.node().querySelectorAll(":scope > g.painted")) left.remove();
      return plot(chart, plotinfo, cds, layer, ...more);
    }
    return PAINT[name](plotinfo, cds, layer.node(), chart._fullData[CANDLES]);
  };
  module.style = (chart, ...more) => {
    if (!isOn || !isOurs(chart)) style(chart, ...more);
  };
}

/** Makes an axis of time take numbers for what they are. */
function keepUtc(axis) {
  const { makeCalcdata } = axis;
  if (axis.type !== "date" || makeCalcdata.isUtc) return;
  axis.makeCalcdata = (trace, letter, ...more) =>
    typeof trace[letter]?.[0] === "number" ? trace[letter].slice(0, trace._length) : makeCalcdata(trace, letter, ...more);
  axis.makeCalcdata.isUtc = true;
}

/**
 * The module's own calculation for candles, once for a figure; counts and lines are drawn straight from their arrays.
 */
function recalculate(chart, figure) {
  const layout = chart._fullLayout;
  const held = calculated.get(figure);
  if (!held) layout._numBoxes = 0;
  chart._fullData.forEach((trace, at) => {
    if (trace.type !== "candlestick") return;
    trace.visible = true;
    const points = held?.get(at) ?? trace._module.calc(chart, trace);
    points[0].t ??= {};
    points[0].trace = trace;
    chart.calcdata[at] = points;
  });
  if (held) return;
  chart._fullData[CANDLES]._module.crossTraceCalc(chart, layout._plots.xy);
  const boxes = [...chart._fullData.keys()].filter((at) => chart._fullData[at].type === "candlestick");
  calculated.set(figure, new Map(boxes.map((at) => [at, chart.calcdata[at]])));
}
const calculated = new WeakMap();

/** Writes what the layout says of data where Plotly looks for it when it draws next. */
function relabel(chart, layout) {
  chart.layout.meta = chart._fullLayout.meta = layout.meta;
  for (const name of ["shapes", "annotations"]) {
    layout[name].forEach((each, at) => {
      for (const held of [chart.layout[name]?.[at], chart._fullLayout[name][at]]) {
        if (!held) continue;
        const { line, ...plain } = each;
        Object.assign(held, plain);
        if (line) Object.assign(held.line, line);
      }
    });
  }
}

/** The elements of a chart, beside its traces, that data or time move; null where Plotly has them not, or not so. */
function marksOf(chart) {
  const held = known.get(chart);
  if (held && Object.values(held).every((each) => each.isConnected)) return held;
  const found = findMarks(chart);
  if (found) known.set(chart, found);
  else known.delete(chart);
  return found;
}
const known = new WeakMap();

function findMarks(chart) {
  const shape = (at) => chart.querySelector(`.shapelayer path[data-index="${at}"]`);
  const [level, band] = [shape(LEVEL), shape(BAND)];
  const tag = chart.querySelector('.annotation[data-index="0"]');
  const [text, back] = [tag?.querySelector("text"), tag?.querySelector("rect.bg")];
  const isAsKnown = level && band && back && text?.firstChild && !text.children.length;
  if (!isAsKnown || !LINE.test(level.getAttribute("d")) || !BOX.test(band.getAttribute("d"))) return null;
  tag.dataset.from ??= chart._fullLayout.annotations[0].y; // where Plotly has put it
  return { level, band, tag, text, back };
}

// As Plotly writes a line and a rectangle.
const LINE = /^M([-\d.e]+),[-\d.e]+L([-\d.e]+),[-\d.e]+$/;
const BOX = /^M[-\d.e]+,([-\d.e]+)H[-\d.e]+V([-\d.e]+)H[-\d.e]+Z$/;

/** Draws the line and the tag of the newest close and the open bucket where the layout now has them. */
function mark({ xaxis, yaxis, shapes, annotations }, { level, band, tag, text, back }) {
  const [line, box, close] = [shapes[LEVEL], shapes[BAND], annotations[0]];
  const y = brush.round(yaxis.c2p(line.y0) + yaxis._offset);
  brush.draw(level, level.getAttribute("d").replace(LINE, `M$1,${y}L$2,${y}`));
  brush.style(level, { stroke: line.line.color, opacity: line.opacity });
  const [x0, x1] = [box.x0, box.x1].map((end) => brush.round(xaxis.r2p(end) + xaxis._offset));
  brush.draw(band, band.getAttribute("d").replace(BOX, `M${x0},$1H${x1}V$2H${x0}Z`));
  brush.style(band, { opacity: box.opacity });
  // Plotly puts it on whole pixels.
  const top = (score) => Math.round(yaxis._offset + yaxis.c2p(score) - (Number(back.getAttribute("height")) + 1) / 2);
  const place = `translate(0,${top(close.y) - top(Number(tag.dataset.from))})`;
  if (tag.getAttribute("transform") !== place) tag.setAttribute("transform", place);
  brush.style(tag, { opacity: close.opacity });
  if (text.textContent !== close.text) {
    text.firstChild.data = close.text; // its box has the width that the layout gives it
    text.setAttribute("data-unformatted", close.text);
  }
  brush.style(back, { fill: close.bgcolor });
}

// ---- the self-check ----

const SAMPLE = () => {
  const x = [0, 1, 2, 3].map((hour) => hour * 3_600_000);
  const period = { xperiod: 3_600_000, xperiod0: "1970-01-01", xperiodalignment: "middle" };
  const [open, high, low, close] = [[0.1, 0.4, -0.2, 0.3], [0.5, 0.6, 0.1, 0.3], [0, -0.4, -0.5, 0.3], [0.4, -0.1, 0, 0.3]];
  const nothing = [null, null];
  return [
    { type: "candlestick", name: "sample", x, open, high, low, close, whiskerwidth: 0, ...period },
    { type: "bar", name: "count", x, y: [1, 2, 3, 4], yaxis: "y2", offset: 500_000, width: 2_600_000 },
    { type: "scatter", name: "average", mode: "lines", x, y: close, ...period },
    { type: "scatter", name: "flat", mode: "markers", x: [x[3]], y: [0.3], ...period },
    { type: "candlestick", name: "width", x: x.slice(0, 2), open: nothing, high: nothing, low: nothing, close: nothing, ...period },
  ];
};
const SAMPLE_LAYOUT = {
  width: 300,
  height: 200,
  margin: { l: 10, r: 10, t: 10, b: 10 },
  showlegend: false,
  xaxis: { type: "date", range: [moment(0), moment(4 * 3_600_000)], rangeslider: { visible: false } },
  yaxis: { range: [-1, 1], domain: [0.2, 1] },
  yaxis2: { range: [0, 5], domain: [0, 0.15] },
};

/** The corners of everything that is drawn with a selector, as sorted numbers. */
function outlineOf(host, selector) {
  const corners = new Set();
  for (const path of host.querySelectorAll(selector)) {
    for (const [, axis, number] of (path.getAttribute("d") ?? "").matchAll(/([HVM])([-\d.]+)/g)) {
      corners.add(`${axis === "V" ? "y" : "x"}${Math.round(Number(number) * 5)}`);
    }
  }
  corners.delete("x0");
  return [...corners].sort();
}

function alike(wanted, made) {
  return wanted.length > 10 && made.length === wanted.length && wanted.every((each, at) => made[at] === each);
}
