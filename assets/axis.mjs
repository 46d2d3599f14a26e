// The labels of the time axes, on the clocks the user reads. Plotly draws the axes; it knows no zone but UTC.

import { make } from "./element.mjs";
import { scaleOf } from "./stage.mjs";
import { ticks } from "./ticks.mjs";

const painted = new WeakMap();

/** Writes the labels below a chart, if they are not there yet. */
export function paint(stage, chart, zone) {
  const { left, width, start_ms, end_ms, x } = scaleOf(chart);
  const state = [left, width, start_ms, end_ms, zone].join(" ");
  if (painted.get(stage) === state) return;
  painted.set(stage, state);
  const overlay = stage.querySelector(".overlay");
  const axis = overlay.querySelector(".axis") ?? overlay.appendChild(make("div", { className: "axis" }));
  const shown = ticks(start_ms, end_ms, width, zone);
  while (axis.childElementCount < shown.length) axis.append(make("span"));
  [...axis.children].forEach((label, nth) => {
    const tick = shown[nth];
    label.hidden = !tick;
    if (!tick) return;
    if (label.textContent !== tick.text) label.textContent = tick.text;
    label.className = tick.strong ? "strong" : "";
    label.style.transform = `translateX(${x(tick.at_ms).toFixed(1)}px) translateX(-50%)`;
  });
}
