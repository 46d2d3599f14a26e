// Along time by wheel and by finger: what a trackpad or a wheel does sideways (or with Shift) moves the charts, and so
// does a finger that goes sideways; two fingers stretch time between them. Up and down is the page's.

import { chartOf, scaleOf } from "./stage.mjs";

const AWAY_PX = 8; // less is a tap
// What wheels mean that count in lines or pages.
const LINE_PX = 16;
const PAGE_PX = 400;
const FEWEST_CANDLES = 5;
const NEAREST_PX = 24; // two fingers closer than this would make a moment of a move
// Plotly takes the end of every touch for a tap, and tells of it so soon after.
const TAP_MS = 400;

let moved_ms = -Infinity;

/** Whether a finger has just moved the charts: what it left is no tap. */
export const hasJustMoved = () => performance.now() - moved_ms < TAP_MS;

/** How far a turn of the wheel goes along time, in pixels, later being positive; 0 where it goes up or down, or zooms. */
export function sidewaysOf({ deltaX, deltaY, deltaMode, shiftKey, ctrlKey }) {
  if (ctrlKey) return 0;
  const turned = shiftKey && !deltaX ? deltaY : deltaX;
  if (!shiftKey && Math.abs(deltaX) <= Math.abs(deltaY)) return 0;
  return turned * [1, LINE_PX, PAGE_PX][deltaMode];
}

/** The range of a scale moved by pixels, so that what is later comes into view where they are positive. */
export function shifted({ start_ms, end_ms, width }, pixels) {
  const by_ms = ((end_ms - start_ms) / width) * pixels;
  return [start_ms + by_ms, end_ms + by_ms];
}

/** The range at which two moments stand at two places, in pixels from the chart's left; at least `fewest_ms` long. */
export function stretched([early_ms, late_ms], [left_px, right_px], width, fewest_ms) {
  const per_px = Math.max((late_ms - early_ms) / Math.max(NEAREST_PX, right_px - left_px), fewest_ms / width);
  const middle_ms = (early_ms + late_ms) / 2 - ((left_px + right_px) / 2) * per_px;
  return [middle_ms, middle_ms + width * per_px];
}

/** `desk` is what this needs: move(start_ms, end_ms), which brings all charts there, and unmark(). */
export function listen(desk) {
  const grid = document.getElementById("grid");
  const fingers = new Map();
  let hold = null;
  let wanted = null;
  let frame = null;

  const go = (chart, range) => {
    wanted = { chart, range };
    frame ??= requestAnimationFrame(() => {
      const { range: [start_ms, end_ms] } = wanted;
      frame = wanted = null;
      desk.move(start_ms, end_ms);
    });
  };
  const scaleNow = (chart) => {
    const scale = scaleOf(chart);
    if (wanted?.chart !== chart) return scale;
    return { ...scale, start_ms: wanted.range[0], end_ms: wanted.range[1] };
  };

  // On the document, as the page's own listener is, which keeps wheels from charts. Not passive, or the browser would go
  // back a page.
  document.addEventListener("wheel", (event) => {
    const pixels = sidewaysOf(event);
    const chart = pixels ? chartOf(event.target.closest?.(".stage")) : null;
    if (!chart) return;
    event.preventDefault();
    event.stopPropagation();
    release(chart);
    desk.unmark();
    go(chart, shifted(scaleNow(chart), pixels));
  }, { capture: true, passive: false });

  const take = (chart) => {
    const { left, width, start_ms, end_ms } = scaleNow(chart);
    const box = chart.getBoundingClientRect();
    const places = [...fingers.values()].map((x) => x - box.left - left).sort((a, b) => a - b);
    hold = { chart, from: { start_ms, end_ms, width }, left: box.left + left, places, moves: hold?.moves ?? false };
  };
  grid.addEventListener("pointerdown", (event) => {
    const chart = event.pointerType === "touch" ? chartOf(event.target.closest?.(".stage")) : null;
    if (!chart || (hold && hold.chart !== chart) || fingers.size === 2) return;
    fingers.set(event.pointerId, event.clientX);
    take(chart);
  });
  grid.addEventListener("pointermove", (event) => {
    if (!hold || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event.clientX);
    const { chart, from, left, places } = hold;
    const now = [...fingers.values()].map((x) => x - left).sort((a, b) => a - b);
    if (!hold.moves && now.every((x, at) => Math.abs(x - places[at]) < AWAY_PX)) return;
    if (!hold.moves) release(chart);
    hold.moves = true;
    if (now.length < 2) go(chart, shifted(from, places[0] - now[0]));
    else {
      const moment_ms = (x) => from.start_ms + (x / from.width) * (from.end_ms - from.start_ms);
      go(chart, stretched(places.map(moment_ms), now, from.width, FEWEST_CANDLES * chart.layout.meta.width_ms));
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, (event) => {
      if (!fingers.delete(event.pointerId)) return;
      if (hold.moves) moved_ms = performance.now();
      if (fingers.size) take(hold.chart);
      else hold = null;
    });
  }
}

/** What Plotly says of a candle under the pointer stands no longer over it. */
function release(chart) {
  if (chart._hoverdata) Plotly.Fx.unhover(chart);
}
