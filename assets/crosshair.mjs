// One crosshair over all charts: they stand on the same time axis, so what one points at is marked on every other.

import { signed } from "./chart.mjs";
import { make } from "./element.mjs";
import { candleAt, chartOf, isSeen, scaleOf, stages } from "./stage.mjs";
import { cityOf, dayText, timeText } from "./zone.mjs";

const COUNT = 1; // of customdata, as in figure.py
const AVG = 0;
const DAY_MS = 86_400_000;

let shown = null;
let frame = null;

/** Marks a moment on all charts: {moment_ms, stage, y}; `stage` is the one pointed at, `y` the pointer's height there. */
export function show(mark, zone) {
  shown = { ...mark, zone };
  frame ??= requestAnimationFrame(paint);
}

export function hide() {
  if (!shown) return;
  shown = null;
  frame ??= requestAnimationFrame(paint);
}

/** What is marked now; null when nothing is. */
export const marked = () => shown;

/** Follows charts that were moved or drawn anew. */
export function refresh() {
  if (shown) frame ??= requestAnimationFrame(paint);
}

function paint() {
  frame = null;
  for (const stage of stages()) {
    const chart = shown && chartOf(stage);
    if (!chart || !isSeen(stage)) clear(stage);
    else mark(stage, chart);
  }
}

function clear(stage) {
  const cross = stage.querySelector(".cross");
  if (cross) cross.hidden = true;
}

function mark(stage, chart) {
  const { moment_ms, zone, y } = shown;
  const scale = scaleOf(chart);
  const at = candleAt(chart, moment_ms);
  const { width_ms } = chart.layout.meta;
  const start_ms = Math.floor(moment_ms / width_ms) * width_ms;
  const x = scale.x(start_ms + width_ms / 2);
  const isInside = x >= scale.left && x <= scale.left + scale.width;
  const parts = partsOf(stage);
  parts.cross.hidden = !isInside;
  if (!isInside) return;
  const isPointedAt = stage === shown.stage;
  parts.line.style.transform = `translateX(${x.toFixed(1)}px)`;
  set(parts.time, isPointedAt && whenText(start_ms, width_ms, zone));
  place(parts.time, x, scale);
  const level = isPointedAt && y >= scale.top && y <= scale.top + scale.height ? y : null;
  parts.level.hidden = level === null;
  set(parts.score, level !== null && signed(scale.score(level), 2));
  if (level !== null) {
    parts.level.style.transform = parts.score.style.transform = `translateY(${level.toFixed(1)}px)`;
  }
  const candles = chart.data[0];
  parts.dot.hidden = at < 0;
  set(parts.value, !isPointedAt && at >= 0 && valueText(candles, at));
  if (at >= 0) {
    parts.dot.style.transform = `translate(${x.toFixed(1)}px, ${scale.y(candles.close[at]).toFixed(1)}px)`;
    place(parts.value, x, scale);
  }
}

function valueText(candles, at) {
  return `C ${signed(candles.close[at])}  avg ${signed(candles.customdata[at][AVG])}  n ${candles.customdata[at][COUNT]}`;
}

function whenText(start_ms, width_ms, zone) {
  const day = dayText(start_ms, zone);
  const isWholeDay = width_ms >= DAY_MS && timeText(start_ms, zone) === "00:00";
  return isWholeDay ? day : `${day} ${timeText(start_ms, zone)} ${cityOf(zone)}`;
}

/** Keeps a tag within its chart. */
function place(tag, x, { left, width }) {
  if (tag.hidden) return;
  const half = tag.offsetWidth / 2;
  tag.style.transform = `translateX(${Math.max(left, Math.min(left + width - 2 * half, x - half)).toFixed(1)}px)`;
}

function set(tag, text) {
  tag.hidden = !text;
  if (text && tag.textContent !== text) tag.textContent = text;
}

const made = new WeakMap();

function partsOf(stage) {
  if (!made.has(stage)) {
    const parts = Object.fromEntries(
      ["line", "level", "dot", "time", "score", "value"].map((name) => [name, make("div", { className: `cross-${name}` })]),
    );
    parts.cross = make("div", { className: "cross", hidden: true }, Object.values(parts));
    stage.querySelector(".overlay").append(parts.cross);
    made.set(stage, parts);
  }
  return made.get(stage);
}
