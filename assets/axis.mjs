// The labels of the time axes, on the clocks the user reads, with the lines at them, and those of the counts. Plotly lays
// the axes out; it knows no zone but UTC, and draws a whole chart anew for a label.

import { make } from "./element.mjs";
import { scaleOf } from "./stage.mjs";
import { countLabels, ticks } from "./ticks.mjs";

const SVG = "http://www.w3.org/2000/svg";
const GAP_PX = 1; // as Plotly leaves between an axis and its labels
const LABEL_PX = 11;

const painted = new WeakMap();

/** Writes labels and lines of a chart, if they are not there yet. */
export function paint(stage, chart, zone) {
  const { left, width, top, height, start_ms, end_ms, x } = scaleOf(chart);
  const { yaxis2 } = chart._fullLayout;
  const layer = chart._fullLayout._plots.xy.gridlayer.node();
  const state = [left, width, top, height, start_ms, end_ms, zone, yaxis2.range[1], chart.layout.meta.theme].join(" ");
  if (painted.get(stage) === state && layer.querySelector(":scope > .time-lines")) return;
  painted.set(stage, state);
  const shown = ticksOf(start_ms, end_ms, width, zone);
  label(stage, shown, x);
  line(layer, chart._fullLayout, shown, x);
  count(chart);
}

function label(stage, shown, x) {
  const overlay = stage.querySelector(".overlay");
  const axis = overlay.querySelector(".axis") ?? overlay.appendChild(make("div", { className: "axis" }));
  while (axis.childElementCount < shown.length) axis.append(make("span"));
  [...axis.children].forEach((label, nth) => {
    const tick = shown[nth];
    if (label.hidden !== !tick) label.hidden = !tick;
    if (!tick) return;
    if (label.textContent !== tick.text) label.textContent = tick.text;
    const className = tick.strong ? "strong" : "";
    if (label.className !== className) label.className = className;
    label.style.transform = `translateX(${x(tick.at_ms).toFixed(1)}px) translateX(-50%)`;
  });
}

/** A line through candles and counts at each label. */
function line(layer, { yaxis, yaxis2 }, shown, x) {
  const path = layer.querySelector(":scope > .time-lines") ?? layer.appendChild(element("path", "time-lines"));
  const spans = [yaxis, yaxis2].map(({ _offset, _length }) => [_offset, _offset + _length]);
  const lines = shown.flatMap(({ at_ms }) => spans.map(([top, bottom]) => `M${x(at_ms).toFixed(1)},${top}V${bottom}`));
  path.setAttribute("d", lines.join("") || "M0,0");
  Object.assign(path.style, { stroke: yaxis.gridcolor, strokeWidth: `${yaxis.gridwidth}px`, shapeRendering: "crispEdges" });
}

/** The labels of the counts, as texts of the drawing, so that they are in pictures of it too. */
function count(chart) {
  const { xaxis, yaxis, yaxis2: axis, _infolayer } = chart._fullLayout;
  const layer = _infolayer.node();
  const group = layer.querySelector(":scope > .count-labels") ?? layer.appendChild(element("g", "count-labels"));
  const shown = countLabels(axis.range[1], axis._length / LABEL_PX);
  while (group.childElementCount < shown.length) group.append(element("text", ""));
  while (group.childElementCount > shown.length) group.lastChild.remove();
  const { color, size, family } = yaxis.tickfont;
  shown.forEach(({ at, text }, nth) => {
    const label = group.children[nth];
    if (label.textContent !== text) label.textContent = text;
    label.setAttribute("x", xaxis._offset + xaxis._length + GAP_PX);
    label.setAttribute("y", (axis._offset + axis.c2p(at) + size / 3).toFixed(1)); // a third down is the middle of a digit
    Object.assign(label.style, { fill: color, fontSize: `${size}px`, fontFamily: family });
  });
}

/** The same for all charts of a view, which mostly stand on one axis of one width. */
function ticksOf(...asked) {
  if (asked.some((each, at) => each !== last.asked[at])) last = { asked, shown: ticks(...asked) };
  return last.shown;
}
let last = { asked: [], shown: [] };

function element(name, className) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("class", className);
  return made;
}
