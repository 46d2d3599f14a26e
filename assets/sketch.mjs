// A sketch: a figure drawn where Plotly would draw it, without Plotly, for the eye alone. The brush paints it, as it
// will paint the chart that takes its place; the axes and the rest of the frame are drawn here as Plotly draws them.

import * as axis from "./axis.mjs";
import * as brush from "./brush.mjs";

const SVG = "http://www.w3.org/2000/svg";
// As Plotly sets the labels of an axis and a tag: in pixels from the edge of the plot, in heights of a letter.
const LABEL_GAP_PX = 1;
const LABEL_DROP = 0.35;
const [TAG_HEIGHT_PX, TAG_BASELINE_PX, TAG_PADDING_PX] = [18, 13, 5];
const DASHES = { dot: "3px, 3px", solid: "none" };

/** Draws a figure into a sheet of `width` by `height` pixels, with the labels of its axes in its overlay. */
export function draw(sheet, { width, height }, figure, zone) {
  const { layout } = figure;
  const { l: left, t: top, r, b } = layout.margin;
  const [across, down] = [width - left - r, height - top - b];
  const xaxis = along(layout.xaxis.range.map(moment_ms), left, across);
  const [yaxis, yaxis2] = [layout.yaxis, layout.yaxis2].map(({ domain: [low, high], range }) =>
    along([...range].reverse(), top + (1 - high) * down, (high - low) * down),
  );
  const { tickfont, gridcolor } = layout.template.layout.yaxis;
  const { family } = layout.template.layout.font;
  Object.assign(yaxis, { gridcolor, gridwidth: 1, tickfont: { ...tickfont, family } });
  const svg = element("svg", { width, height });
  const below = svg.appendChild(element("g"));
  const grid = svg.appendChild(element("g"));
  const panes = [yaxis, yaxis2].map(({ _offset: y, _length }) =>
    svg.appendChild(element("svg", { x: left, y, width: across, height: _length })),
  );
  const above = svg.appendChild(element("g"));
  const line = (score, { color, dash }, more) =>
    element("path", { d: `M${left},${yaxis._offset + yaxis.c2p(score)}h${across}` }, {
      stroke: color, strokeWidth: "1px", strokeDasharray: DASHES[dash], fill: "none", ...more,
    });
  layout.yaxis.tickvals.forEach((score, at) => {
    grid.append(line(score, { color: gridcolor, dash: "solid" }, { shapeRendering: "crispEdges" }));
    const y = yaxis._offset + yaxis.c2p(score) + LABEL_DROP * tickfont.size;
    const label = element("text", { x: left + across + LABEL_GAP_PX, y }, written(tickfont, family));
    label.textContent = layout.yaxis.ticktext[at];
    above.append(label);
  });
  const [zero, level, band] = layout.shapes;
  const [from, to] = [band.x0, band.x1].map((each) => left + xaxis.c2p(moment_ms(each)));
  below.append(line(zero.y0, zero.line));
  const look = { fill: band.fillcolor, opacity: band.opacity };
  below.append(element("path", { d: `M${from},${top}H${to}V${top + down}H${from}Z` }, look));
  above.append(line(level.y0, level.line, { opacity: level.opacity }), tag(layout, left + across, yaxis, family));
  paint(panes.map((pane, at) => ({ layer: pane, xaxis, yaxis: [yaxis, yaxis2][at] })), figure);
  sheet.querySelector(":scope > svg")?.remove();
  sheet.prepend(svg);
  axis.paint(sheet, { layout, _fullLayout: {
    xaxis, yaxis, yaxis2, _infolayer: { node: () => above }, _plots: { xy: { gridlayer: { node: () => grid } } },
  } }, zone);
}

/** Paints a figure into panes, {layer, xaxis, yaxis} for its scores and for its counts, as it will be into the chart. */
function paint([scores, counts], { data, layout }) {
  const looks = layout.template.data;
  const [candles, bars, ...lines] = data.slice(0, 4).map((trace) => ({ ...looks[trace.type][0], ...trace }));
  const fill = (pane, act, cds) => {
    const layer = pane.layer.appendChild(element("g"));
    act(pane, cds, layer, candles);
    for (const group of layer.children) group.classList.remove("painted"); // that is what charts are told by
  };
  fill(counts, brush.counts, [[{ trace: bars }]]);
  fill(scores, brush.candles, [pointsOf(candles, layout)]);
  fill(scores, brush.lines, lines.map((trace) => [{ trace }]));
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

/** An axis, with what the brush and the labels ask of those of Plotly. */
function along([start, end], offset_px, length_px) {
  const m = length_px / (end - start);
  const b = -m * start;
  return {
    _offset: offset_px, _length: length_px, _m: m, _b: b, range: start < end ? [start, end] : [end, start],
    c2p: (each) => b + m * each, r2l: (each) => each,
  };
}

function tag({ annotations: [{ y, text, width, bgcolor, font, opacity }] }, right, yaxis, family) {
  const top = Math.round(yaxis._offset + yaxis.c2p(y) - (TAG_HEIGHT_PX + 1) / 2);
  const group = element("g", { transform: `translate(${right},${top})` }, { opacity });
  const size = { x: 0.5, y: 0.5, width: width + TAG_PADDING_PX, height: TAG_HEIGHT_PX };
  const label = element("text", { x: (width + TAG_PADDING_PX + 1) / 2, y: TAG_BASELINE_PX, "text-anchor": "middle" });
  Object.assign(label.style, written(font, family));
  label.textContent = text;
  group.append(element("rect", size, { fill: bgcolor }), label);
  return group;
}

const written = ({ color, size }, fontFamily) => ({ fill: color, fontSize: `${size}px`, fontFamily });

/** Of a moment as the layout of a figure has it: 2014-06-03 09:00:00.000 */
const moment_ms = (text) => Date.parse(`${text.replace(" ", "T")}Z`);

function element(name, attributes = {}, style = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  Object.assign(made.style, style);
  return made;
}
