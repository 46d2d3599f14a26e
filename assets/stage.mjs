// The charts on the page, and the scales on which they stand: the one place here that looks into Plotly.

export const stages = () => [...document.querySelectorAll("#grid .stage")];

export const tickerOf = (stage) => stage.closest(".card")?.dataset.ticker ?? null;

export const stageOf = (ticker) => document.querySelector(`.card[data-ticker="${CSS.escape(ticker)}"] .stage`);

/** The chart on a stage, once it is drawn; null until then. */
export function chartOf(stage) {
  const chart = stage?.querySelector(".js-plotly-plot");
  return chart?._fullLayout?.xaxis?._length && chart.data?.[0]?.x ? chart : null;
}

export function isSeen(element) {
  const box = element.getBoundingClientRect();
  return box.bottom > 0 && box.top < window.innerHeight && box.width > 0;
}

/** Where moments and scores stand on a chart, in pixels from the corner of its stage. */
export function scaleOf(chart) {
  const { xaxis, yaxis } = chart._fullLayout;
  const [start_ms, end_ms] = xaxis.range.map((each) => xaxis.r2l(each));
  const [low, high] = yaxis.range;
  const { _offset: left, _length: width } = xaxis;
  const { _offset: top, _length: height } = yaxis;
  return {
    left, width, top, height, start_ms, end_ms,
    x: (moment_ms) => left + ((moment_ms - start_ms) / (end_ms - start_ms)) * width,
    moment_ms: (x) => start_ms + ((x - left) / width) * (end_ms - start_ms),
    y: (score) => top + ((high - score) / (high - low)) * height,
    score: (y) => high - ((y - top) / height) * (high - low),
  };
}

/** The place of the candle whose bucket holds a moment; -1 where there is none. */
export function candleAt(chart, moment_ms) {
  const { x } = chart.data[0];
  const at = nearest(x, moment_ms);
  return at >= 0 && moment_ms - x[at] < chart.layout.meta.width_ms ? at : -1;
}

/** The place of the last of ascending numbers that is at most this; -1 when all are above. */
export function nearest(numbers, number) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= number) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Calls `meet` with every chart of the page as soon as Plotly has taken it, now and later. */
export function watch(meet) {
  const met = new WeakMap();
  const looked = new WeakSet();
  const wait = (holder) => {
    const chart = holder.querySelector(".graph > div:last-child");
    if (!holder.isConnected || !chart) return;
    if (typeof chart.on !== "function") setTimeout(() => wait(holder), WAIT_MS);
    else if (met.get(chart) !== chart.on) {
      met.set(chart, chart.on); // another one when the chart was taken down and drawn anew in its place
      meet(chart);
    }
  };
  const plots = new MutationObserver((records) => records.forEach(({ target }) => wait(target)));
  const look = () => {
    for (const plot of document.querySelectorAll("#grid .plot")) {
      if (looked.has(plot)) continue;
      looked.add(plot);
      plots.observe(plot, { childList: true });
      wait(plot);
    }
  };
  new MutationObserver(look).observe(document.getElementById("grid"), { childList: true });
  look();
}

// Plotly does not say when it takes an element; an eye's blink later is early enough.
const WAIT_MS = 40;
