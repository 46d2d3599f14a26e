// Weak candles drawn weaker, on charts whose candles Plotly draws itself: one element each, in the order of the data.

import { WEIGHTS, weightOf } from "./evidence.mjs";

const COUNT = 1; // of customdata, as in figure.py

/** Gives every candle of a chart the opacity of its count. Cheap: touches only what changes. */
export function shade(chart) {
  const { customdata, high, low } = chart.data[0];
  const opacityOf = (at) => String(WEIGHTS[weightOf(customdata[at]?.[COUNT] ?? 0)].opacity);
  mark(chart.querySelectorAll(".boxlayer > .trace.boxes:first-child > path.box"), customdata.length, opacityOf);
  const flat = [...customdata.keys()].filter((at) => high[at] === low[at]);
  mark(chart.querySelectorAll(".scatterlayer .points > path"), flat.length, (nth) => opacityOf(flat[nth]));
}

function mark(paths, expected, opacityOf) {
  if (paths.length !== expected) return; // drawn in another way, or in the middle of it
  paths.forEach((path, nth) => {
    const opacity = opacityOf(nth);
    if (path.style.opacity !== opacity) path.style.opacity = opacity;
  });
}
