// The brush: candles, counts, averages and ticks as a handful of paths in a layer, and not as an element each; the newest
// candle has paths of its own, for it changes with every text, and what does not change the browser need not draw again.
// It knows axes (_b, _m, _length) and traces as Plotly calculates them, and nothing of the chart around.

import { placeOf } from "./chunks.mjs";
import { WEIGHTS, weightOf } from "./evidence.mjs";

const SVG = "http://www.w3.org/2000/svg";
const COUNT = 1; // of customdata, as in figure.py
// One screen to each side is drawn, so that a drag never meets what is not.
const SCREENS = 1;
// As Plotly draws the marker line-ew.
const TICK_RADII = 1.4;

// Each paints all there is, or with `isStill` just what belongs to the newest candle, where the axes are as they were.

export function candles({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
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

export function counts({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
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

export function lines({ xaxis, yaxis }, cds, layer, candles, isStill = false) {
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
export function draw(path, outline) {
  const wanted = outline || "M0,0";
  if (path.getAttribute("d") !== wanted) path.setAttribute("d", wanted);
}

function stroke(path, colour, width_px, fill, opacity) {
  style(path, { stroke: colour, strokeWidth: `${width_px}px`, fill, opacity });
}

/** Each write to a style makes the browser look at the element again, even one that changes nothing. */
export function style(element, wanted) {
  const look = Object.values(wanted).join(" ");
  if (looks.get(element) === look) return;
  looks.set(element, look);
  Object.assign(element.style, wanted);
}
const looks = new WeakMap();

export const round = (number) => Math.round(number * 100) / 100;
