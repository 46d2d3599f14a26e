// The sketches over the page: the charts of a view, drawn before Dash and Plotly are there to draw them, each in its
// place until the chart below it is drawn. Nothing of them can be pointed at or is read out; the page below them can.

import * as arrangement from "./arrangement.mjs";
import * as chart from "./chart.mjs";
import { age } from "./clock.mjs";
import { make } from "./element.mjs";
import * as readout from "./readout.mjs";
import { draw } from "./sketch.mjs";

// Where a chart has not come in this time, it is not one that comes.
const MOST_MS = 20_000;
// A smaller place has no room for its axes.
const LEAST_PX = 90;

let layer = null;
let sheets = new Map();
let shown = null;
const gone = new Set(); // whose chart is there already

/** Whether something is drawn. */
export const isThere = () => layer !== null;

/**
 * Shows a view: `figures` by ticker, which may be some of its tickers. `about` is {zone, stop_ms, isSimulated, heard_ms};
 * heard_ms says when what is drawn was last true, null where the server has just said it.
 */
export function show(view, figures, about) {
  if (!layer) lay(view);
  shown = { view, figures, about };
  layer.querySelector(".badge").hidden = !about.isSimulated;
  const state = layer.querySelector(".feed");
  layer.toggleAttribute("data-kept", about.heard_ms !== null);
  state.hidden = about.heard_ms === null;
  state.textContent = about.heard_ms === null ? "" : `kept · ${age(Date.now() - about.heard_ms)}`;
  drawAll();
}

/** Draws what is shown, but for tickers whose chart is there already. */
function drawAll() {
  const { figures, about } = shown;
  // Asked of all before the first is drawn: a question after a change makes the browser lay out the page once more.
  const sized = [...figures]
    .filter(([ticker]) => !gone.has(ticker))
    .map(([ticker, figure]) => {
      const { card, sheet } = sheets.get(ticker);
      return { card, sheet, figure, size: { width: sheet.clientWidth, height: sheet.clientHeight } };
    });
  for (const { card, sheet, figure, size } of sized) {
    if (size.width < LEAST_PX || size.height < LEAST_PX) continue;
    draw(sheet, size, figure, about.zone);
    readout.write(card.querySelector(".readout"), chart.figures(null, figure.data[0], about.stop_ms));
    card.toggleAttribute("data-drawn", true);
  }
}

/** The chart of a ticker is drawn, or there is something else to see in its place. */
export function leave(ticker) {
  gone.add(ticker);
  sheets.get(ticker)?.card.removeAttribute("data-drawn");
  if (layer && !layer.querySelector("[data-drawn]")) clear();
}

/** Takes all away, or what is not of this view. */
export function clear(view = null) {
  if (!layer || (view && JSON.stringify(view) === JSON.stringify(shown.view))) return;
  layer.remove();
  layer = shown = null;
  sheets = new Map();
  gone.clear();
  window.removeEventListener("resize", drawAll);
}

function lay(view) {
  const grid = make("div", { className: `grid ${arrangement.gridOf(view.tickers.length)}` });
  const focus = arrangement.focusOf(view);
  if (focus) grid.dataset.focus = focus;
  grid.style.setProperty("--smalls", Math.max(1, view.tickers.length - 1));
  for (const ticker of view.tickers) {
    const sheet = make("div", { className: "sheet" }, make("div", { className: "overlay" }));
    const head = make("header", { className: "card-head" }, make("h2", { textContent: ticker }));
    head.append(make("div", { className: "readout" }));
    const card = grid.appendChild(make("div", { className: "sketch" }, head, sheet));
    card.toggleAttribute("data-large", ticker === focus);
    sheets.set(ticker, { card, sheet });
  }
  const bar = make("div", { className: "sketch-bar" }, make("h1", { textContent: "Tickertone" }));
  bar.append(make("span", { className: "badge", textContent: "Simulated data" }), make("span", { className: "feed" }));
  bar.lastChild.dataset.state = "kept";
  layer = make("div", { id: "sketches", className: "sketches" }, bar, grid);
  layer.setAttribute("aria-hidden", "true");
  document.body.append(layer);
  window.addEventListener("resize", drawAll);
  const laid = layer;
  setTimeout(() => laid === layer && clear(), MOST_MS);
}
