// Candles by keyboard: on a chart that has the focus, arrow keys walk from candle to candle, and Enter opens its texts.

import { speechOf } from "./speech.mjs";
import { chartOf, nearest, scaleOf, tickerOf } from "./stage.mjs";

const FAR = 10;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -FAR, PageDown: FAR, Home: -Infinity, End: Infinity };

/** The candle a key leads to from a moment (null: from the newest in view), as its place; null when the key is no step. */
export function stepTo(key, chart, moment_ms) {
  const step = STEPS[key];
  if (step === undefined) return null;
  const { x } = chart.data[0];
  if (!x.length) return null;
  const { end_ms } = scaleOf(chart);
  const held = moment_ms === null ? null : nearest(x, moment_ms);
  const from = held ?? Math.max(0, nearest(x, end_ms - 1));
  const to = held === null && Number.isFinite(step) ? from : from + step;
  return Math.max(0, Math.min(x.length - 1, to));
}

/**
 * Listens to the keys on charts. `desk` is what this needs: zone(), mark(stage, moment_ms), markedOn(stage), unmark(),
 * read(ticker, start_ms), say(text) and show(start_ms, end_ms), which moves all charts to a range.
 */
export function listen(desk) {
  document.addEventListener("keydown", (event) => {
    const stage = event.target.closest?.(".stage");
    if (!stage || event.target !== stage || event.altKey || event.ctrlKey || event.metaKey) return;
    const chart = chartOf(stage);
    if (!chart) return;
    const held_ms = desk.markedOn(stage);
    if (event.key === "Enter" || event.key === " ") {
      const { x } = chart.data[0];
      const at = stepTo("End", chart, null);
      if (at !== null) desk.read(tickerOf(stage), held_ms ?? x[at]);
    } else if (event.key === "Escape") {
      desk.unmark();
    } else {
      const at = stepTo(event.key, chart, held_ms);
      if (at === null) return;
      land(desk, stage, chart, at);
    }
    event.preventDefault();
  });
  document.addEventListener("focusin", ({ target }) => {
    const chart = target.matches?.(".stage:focus-visible") && chartOf(target);
    const at = chart ? stepTo("ArrowRight", chart, null) : null;
    if (at !== null) desk.mark(target, chart.data[0].x[at]);
  });
  document.addEventListener("focusout", ({ target }) => {
    if (target.matches?.(".stage")) desk.unmark();
  });
}

/** Marks a candle, says it, and brings it into view where it is beyond the edge. */
function land(desk, stage, chart, at) {
  const start_ms = chart.data[0].x[at];
  const { width_ms } = chart.layout.meta;
  const scale = scaleOf(chart);
  const span_ms = scale.end_ms - scale.start_ms;
  if (start_ms < scale.start_ms || start_ms + width_ms > scale.end_ms) {
    const middle_ms = start_ms + width_ms / 2;
    desk.show(middle_ms - span_ms / 2, middle_ms + span_ms / 2);
  }
  desk.mark(stage, start_ms);
  desk.say(speechOf(chart, at, desk.zone()));
}
