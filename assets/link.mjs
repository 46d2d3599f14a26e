// Charts that move together: while one is dragged or zoomed the others follow, one in each frame and nearest first, so
// that the one under the pointer never waits for them.

import * as painter from "./painter.mjs";
import { chartOf, isSeen, scaleOf, stages } from "./stage.mjs";

let leader = null;
let drew = null;
let waiting = [];
let frame = null;

/** The others follow this chart; `tell` hears of each that has been moved. */
export function follow(chart, tell) {
  leader = chart;
  drew = tell;
  waiting = stages().map(chartOf).filter((each) => each && each !== chart && isSeen(each));
  frame ??= requestAnimationFrame(next);
}

function next() {
  frame = null;
  const chart = waiting.shift();
  if (!chart || !leader.isConnected) return;
  if (chart.isConnected) {
    const [wanted, held] = [scaleOf(leader), scaleOf(chart)];
    if (wanted.start_ms !== held.start_ms || wanted.end_ms !== held.end_ms) {
      painter.pan(window.Plotly, chart, [wanted.start_ms, wanted.end_ms]);
      drew(chart);
    }
  }
  if (waiting.length) frame ??= requestAnimationFrame(next);
}
