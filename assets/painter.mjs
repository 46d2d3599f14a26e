// The painter: Plotly lays a chart out and hears its mouse; its candles, counts, averages and ticks are drawn here, as a
// handful of paths and not as an element each; the newest candle has paths of its own, for it changes with every text, and
// what does not change the browser need not draw again. Other data and other ranges are put into a chart without Plotly, whose own
// way draws the whole layout anew. The figure stays a standard one: only the `plot` and `style` steps of Plotly's trace
// modules are exchanged, for figures of ours, so a PNG shows the same candles.
//
// Plotly also takes numbers for moments in the zone of the browser, where they stand in data. Ours are UTC, and stay it.
//
// It rests on Plotly's internals (_fullData, _module, calcdata, _plots, the axes' _m, _b and _rl). So a self-check compares
// it with Plotly's own drawing when the page starts; where that fails, Plotly draws, and everything goes on, slower.

import { moment } from "./candles.mjs";
import { placeOf } from "./chunks.mjs";
import { WEIGHTS, weightOf } from "./evidence.mjs";

const SVG = "http://www.w3.org/2000/svg";
// The names that figure.py gives its traces beside the candles.
const NAMED = ["count", "average", "flat", "width"];
const CANDLES = 0;
const COUNT = 1; // of customdata, as in figure.py
const [LEVEL, BAND] = [1, 2]; // among the shapes, as in candles.mjs
// One screen to each side is drawn, so that a drag never meets what is not.
const SCREENS = 1;
// As Plotly draws the marker line-ew.
const TICK_RADII = 1.4;

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

/**
 * Paints a figure where there is no chart of Plotly yet: into `panes`, {layer, xaxis, yaxis} for its scores and for its
 * counts, as it will be painted into the chart.
 */
export function sketch([scores, counts], { data, layout }) {
  const looks = layout.template.data;
  const [candles, bars, ...lines] = data.slice(0, 4).map((trace) => ({ ...looks[trace.type][0], ...trace }));
  const paint = (pane, act, cds) => {
    const layer = pane.layer.appendChild(document.createElementNS(SVG, "g"));
    act(pane, cds, layer, candles);
    for (const group of layer.children) group.classList.remove("painted"); // that is what charts are told by
  };
  paint(counts, paintCounts, [[{ trace: bars }]]);
  paint(scores, paintCandles, [pointsOf(candles, layout)]);
  paint(scores, paintLines, lines.map((trace) => [{ trace }]));
}

/** The candles of a trace as Plotly calculates them. */
function pointsOf(trace, { boxgap }) {
  const half_ms = trace.xperiod / 2;
  const t = { bPos: 0, bdPos: half_ms * (1 - boxgap) * (1 - GROUP_GAP) };
  let [dir, last] = ["increasing", null];
  const points = trace.x.map((start_ms, i) => {
    const [open, high, low, close] = [trace.open[i], trace.high[i], trace.low[i], trace.close[i]];
    if (open !== close) dir = close > open ? "increasing" : "decreasing";
    else if (last !== null && close !== last) dir = close > last ? "increasing" : "decreasing";
    last = close;
    return { i, pos: start_ms + half_ms, min: low, q1: Math.min(open, close), med: close, q3: Math.max(open, close), max: high, dir };
  });
  Object.assign(points[0], { t, trace });
  return points;
}
// Of the space of a candle, what Plotly leaves free beside those of other traces, whether there are any or not.
const GROUP_GAP = 0.3;

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
const PAINT = { candlestick: paintCandles, bar: paintCounts, scatter: paintLines };

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
  const y = round(yaxis.c2p(line.y0) + yaxis._offset);
  draw(level, level.getAttribute("d").replace(LINE, `M$1,${y}L$2,${y}`));
  style(level, { stroke: line.line.color, opacity: line.opacity });
  const [x0, x1] = [box.x0, box.x1].map((end) => round(xaxis.r2p(end) + xaxis._offset));
  draw(band, band.getAttribute("d").replace(BOX, `M${x0},$1H${x1}V$2H${x0}Z`));
  style(band, { opacity: box.opacity });
  // Plotly puts it on whole pixels.
  const top = (score) => Math.round(yaxis._offset + yaxis.c2p(score) - (Number(back.getAttribute("height")) + 1) / 2);
  const place = `translate(0,${top(close.y) - top(Number(tag.dataset.from))})`;
  if (tag.getAttribute("transform") !== place) tag.setAttribute("transform", place);
  style(tag, { opacity: close.opacity });
  if (text.textContent !== close.text) {
    text.firstChild.data = close.text; // its box has the width that the layout gives it
    text.setAttribute("data-unformatted", close.text);
  }
  style(back, { fill: close.bgcolor });
}

// ---- drawing ----

// Each paints all there is, or with `isStill` just what belongs to the newest candle, where the axes are as they were.

function paintCandles({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
  keep(layer, cds.length);
  cds.forEach((points, nth) => {
    const [{ t, trace }] = points;
    const group = groupAt(layer, nth, "trace boxes");
    if (t.empty || points.every((each) => each.empty)) {
      group.replaceChildren(); // the candles that only have a width
      return;
    }
    const [first, stop] = onScreen(points.length, (at) => xaxis._b + xaxis._m * points[at].pos, xaxis._length);
    const split = splitOf(trace.x, stop, xaxis, trace);
    const sides = [["rising", trace.increasing], ["falling", trace.decreasing]];
    if (!isStill || split === stop || group.dataset.split !== String(split)) {
      const make = () => outlinesOf(points, xaxis, yaxis, first, split);
      // A tick changes the newest of these very points.
      const outlines = split === points.length ? make() : remembered(points, [first, split], xaxis, yaxis, make);
      for (const [at, [tone, side]] of sides.entries()) {
        for (const [weight, { name, opacity }] of WEIGHTS.entries()) {
          const path = pathAt(group, at * WEIGHTS.length + weight, `box ${tone} ${name}`);
          stroke(path, side.line.color, side.line.width, side.fillcolor, opacity);
          draw(path, outlines[tone][weight]);
        }
      }
      // How far is drawn, for tests: nobody may ever see an edge.
      Object.assign(group.dataset, { split, first: points[first]?.pos ?? NaN, last: points[stop - 1]?.pos ?? NaN });
    }
    const outlines = split < stop ? outlinesOf(points, xaxis, yaxis, split, stop) : NO_OUTLINES;
    const path = pathAt(group, sides.length * WEIGHTS.length, "box newest");
    for (const [tone, side] of sides) {
      const weight = outlines[tone].findIndex(Boolean);
      if (weight < 0) continue;
      stroke(path, side.line.color, side.line.width, side.fillcolor, WEIGHTS[weight].opacity);
      draw(path, outlines[tone][weight]);
      return;
    }
    draw(path, "");
  });
}

/**
 * Where, of `starts` that are drawn up to `stop`, what has paths of its own begins: at the newest, if it is drawn, or where
 * candles are so thin that those in one column of pixels are merged, at the first of its column; at `stop`, with none.
 */
function splitOf(starts, stop, xaxis, { xperiod }) {
  if (!stop || stop !== starts.length) return stop;
  if (xperiod * xaxis._m >= 2) return stop - 1;
  const column = (at) => Math.floor(round(xaxis._b + xaxis._m * (starts[at] + xperiod / 2)));
  let split = stop - 1;
  while (split > 0 && column(split - 1) === column(stop - 1)) split -= 1;
  return split;
}

/** The outlines of candles [first, stop); those thinner than a pixel are merged. */
function outlinesOf(points, xaxis, yaxis, first, stop) {
  const { bdPos: half_ms, bPos: shift_ms } = points[0].t;
  const x = (at_ms) => round(xaxis._b + xaxis._m * at_ms);
  const y = (score) => round(yaxis._b + yaxis._m * score);
  const { customdata } = points[0].trace;
  const made = { rising: WEIGHTS.map(() => []), falling: WEIGHTS.map(() => []) };
  const isThin = 2 * half_ms * xaxis._m < 1;
  const columns = isThin ? columnsOf(points, customdata, first, stop, x) : null;
  for (const each of columns ?? points.slice(first, stop)) {
    if (each.empty) continue;
    const [top, bottom, high, low] = [y(each.q3), y(each.q1), y(each.max), y(each.min)];
    const tone = each.dir === "increasing" ? "rising" : "falling";
    const outline = made[tone][weightOf(each.count ?? customdata?.[each.i]?.[COUNT] ?? 0)];
    const middle = each.pos + shift_ms;
    const centre = x(middle);
    if (isThin) outline.push(`M${centre},${high}V${low}`);
    else {
      const [left, right] = [x(middle - half_ms), x(middle + half_ms)];
      outline.push(`M${left},${bottom}H${right}V${top}H${left}ZM${centre},${bottom}V${low}M${centre},${top}V${high}`);
    }
  }
  const joined = (outlines) => outlines.map((each) => each.join(""));
  return { rising: joined(made.rising), falling: joined(made.falling) };
}

const NO_OUTLINES = { rising: [], falling: [] };

/** Candles that share a column of pixels as one each: they open with the first and close with the last. */
function columnsOf(points, customdata, first, stop, x) {
  const made = [];
  let column = NaN;
  for (let at = first; at < stop; at += 1) {
    const point = points[at];
    if (point.empty) continue;
    const next = Math.floor(x(point.pos));
    const open = point.dir === "increasing" ? point.q1 : point.q3;
    const close = point.med;
    const count = customdata?.[point.i]?.[COUNT] ?? 0;
    const { pos, min, max, dir } = point;
    if (next !== column) made.push({ pos, open, min, max, close, dir, count });
    else {
      const held = made.at(-1);
      held.count += count;
      held.min = Math.min(held.min, point.min);
      held.max = Math.max(held.max, point.max);
      held.close = close;
      if (close !== held.open) held.dir = close > held.open ? "increasing" : "decreasing";
    }
    column = next;
  }
  return made.map((each) => ({ ...each, q1: Math.min(each.open, each.close), q3: Math.max(each.open, each.close) }));
}

function paintCounts({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
  keep(layer, cds.length);
  cds.forEach(([{ trace }], nth) => {
    const group = groupAt(layer, nth, "trace bars");
    const [first, stop] = onScreen(trace.x.length, (at) => xaxis._b + xaxis._m * trace.x[at], xaxis._length);
    const split = splitOf(trace.x, stop, xaxis, candles);
    const paint = (at, names, from, to) => {
      const path = pathAt(group, at, names);
      draw(path, remembered(trace.y, [at, from, to], xaxis, yaxis, () => barsOf(trace, xaxis, yaxis, from, to)));
      if (path.style.fill !== trace.marker.color) path.style.fill = trace.marker.color;
    };
    if (!isStill || split === stop || group.dataset.split !== String(split)) paint(0, "counts", first, split);
    paint(1, "counts newest", split, stop);
    group.dataset.split = split;
  });
}

function barsOf(trace, xaxis, yaxis, first, stop) {
  const x = (at_ms) => xaxis._b + xaxis._m * at_ms;
  const base = round(yaxis._b);
  const outline = [];
  let [column, highest] = [NaN, base];
  for (let at = first; at < stop; at += 1) {
    let left = round(x(trace.x[at] + trace.offset));
    let right = round(x(trace.x[at] + trace.offset + trace.width));
    const top = round(yaxis._b + yaxis._m * trace.y[at]);
    if (right - left < 2) {
      // As Plotly does with its own: so thin a bar is widened to whole pixels, to be seen for certain.
      [left, right] = [Math.floor(left), Math.ceil(right)];
      if (left === column && top >= highest) continue;
      [column, highest] = [left, top];
    }
    outline.push(`M${left},${base}V${top}H${right}V${base}Z`);
  }
  return outline.join("");
}

function paintLines({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
  keep(layer, cds.length);
  cds.forEach(([{ trace }], nth) => {
    const group = groupAt(layer, nth, "trace scatter");
    const x = (start_ms) => round(xaxis._b + xaxis._m * (start_ms + trace.xperiod / 2));
    const y = (score) => round(yaxis._b + yaxis._m * score);
    const [first, stop] = onScreen(trace.x.length, (at) => x(trace.x[at]), xaxis._length, 1);
    const isLine = trace.mode === "lines";
    const isOfNewest = trace.x.at(-1) === candles.x.at(-1);
    const split = isOfNewest ? splitOf(trace.x, stop, xaxis, candles) : stop;
    const { color, width } = isLine ? trace.line : trace.marker.line;
    const paint = (at, names, outline, opacity) => {
      const path = pathAt(group, at, names);
      stroke(path, color, width, "none", opacity);
      draw(path, outline);
    };
    // Where the newest candle has no part in it, nothing of it has changed.
    const isHeld = isStill && (split < stop || !isOfNewest) && group.dataset.split === String(split);
    if (isLine) {
      const make = () => lineOf(trace, first, split, x, y);
      if (!isHeld) paint(0, "js-line", remembered(trace.y, [first, split], xaxis, yaxis, make), 1);
      paint(1, "line-newest", split < stop ? lineOf(trace, Math.max(0, split - 1), stop, x, y) : "", 1);
    } else {
      const few = ticksOf(trace, split, stop, x, y, candles);
      const all = isHeld ? null : ticksOf(trace, first, split, x, y, candles);
      WEIGHTS.forEach(({ name, opacity }, at) => {
        if (all) paint(at, `ticks ${name}`, all[at], opacity);
        else pathAt(group, at, `ticks ${name}`);
      });
      const weight = Math.max(0, few.findIndex(Boolean));
      paint(WEIGHTS.length, "ticks newest", few[weight], WEIGHTS[weight].opacity);
    }
    group.dataset.split = split;
  });
}

function lineOf(trace, first, stop, x, y) {
  const outline = [];
  let isUp = true;
  for (let at = first; at < stop; at += 1) {
    if (trace.y[at] === null) isUp = true;
    else {
      outline.push(`${isUp ? "M" : "L"}${x(trace.x[at])},${y(trace.y[at])}`);
      isUp = false;
    }
  }
  return outline.join("");
}

/** The ticks of candles that never moved, by weight; `candles` are all, in the order of time as the ticks are. */
function ticksOf(trace, first, stop, x, y, candles) {
  const radius = round((trace.marker.size / 2) * TICK_RADII);
  const outlines = WEIGHTS.map(() => []);
  let candle = 0;
  let [column, line] = [NaN, NaN];
  for (let at = first; at < stop; at += 1) {
    if (trace.y[at] === null) continue;
    const [centre, middle] = [x(trace.x[at]), y(trace.y[at])];
    if (Math.round(centre) === column && middle === line) continue;
    [column, line] = [Math.round(centre), middle];
    if (candle === 0) candle = Math.max(0, placeOf(candles.x, trace.x[at]));
    while (candles.x[candle] < trace.x[at]) candle += 1;
    const weight = weightOf(candles.customdata?.[candle]?.[COUNT] ?? 0);
    outlines[weight].push(`M${round(centre + radius)},${middle}H${round(centre - radius)}`);
  }
  return outlines.map((each) => each.join(""));
}

/** From and to which point, out of ascending ones, something is drawn; `more` to each side. */
function onScreen(points, x, length_px, more = 0) {
  const place = (wanted_px) => {
    let [low, high] = [0, points];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x(middle) < wanted_px) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const [first, stop] = [place(-SCREENS * length_px), place((1 + SCREENS) * length_px)];
  return [Math.max(0, first - more), Math.min(points, stop + more)];
}

function groupAt(layer, nth, names) {
  const held = layer.querySelectorAll(":scope > g.painted")[nth];
  if (held) return held;
  const group = layer.appendChild(document.createElementNS(SVG, "g"));
  group.setAttribute("class", `${names} painted`);
  return group;
}

/** Takes away what Plotly drew itself, and groups that have no trace any more. */
function keep(layer, traces) {
  for (const left of layer.querySelectorAll(":scope > g:not(.painted)")) left.remove();
  for (const left of [...layer.querySelectorAll(":scope > g.painted")].slice(traces)) left.remove();
}

function pathAt(group, nth, names) {
  if (group.children[nth]) return group.children[nth];
  const path = group.appendChild(document.createElementNS(SVG, "path"));
  path.setAttribute("class", names);
  path.style.vectorEffect = "non-scaling-stroke";
  return path;
}

/** What was made of some data for axes that stand so, once; the newest two of each. */
function remembered(data, part, xaxis, yaxis, make) {
  const key = [...part, xaxis._b, xaxis._m, xaxis._length, yaxis._b, yaxis._m].join(" ");
  const held = made.get(data) ?? new Map();
  if (!held.has(key)) {
    made.set(data, held);
    if (held.size > 1) held.delete(held.keys().next().value);
    held.set(key, make());
  }
  return held.get(key);
}
const made = new WeakMap();

/** What is drawn already is left alone, for the browser would draw it again. */
function draw(path, outline) {
  const wanted = outline || "M0,0";
  if (path.getAttribute("d") !== wanted) path.setAttribute("d", wanted);
}

function stroke(path, colour, width_px, fill, opacity) {
  style(path, { stroke: colour, strokeWidth: `${width_px}px`, fill, opacity });
}

/** Each write to a style makes the browser look at the element again, even one that changes nothing. */
function style(element, wanted) {
  const look = Object.values(wanted).join(" ");
  if (looks.get(element) === look) return;
  looks.set(element, look);
  Object.assign(element.style, wanted);
}
const looks = new WeakMap();

const round = (number) => Math.round(number * 100) / 100;

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
