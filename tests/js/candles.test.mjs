// Figures that follow the stream: buckets changed in place, put in between, put at the end.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as candles from "../../assets/candles.mjs";

const HOUR = 3_600_000;
const colours = { rising: "blue", falling: "orange", flat: "grey" };
const at = (hours) => new Date(hours * HOUR).toISOString().replace(".000Z", "Z");

/** A figure of candles at these hours, each [hours, open, high, low, close, count, avg]. */
function figure(rows) {
  const column = (place) => rows.map((row) => row[place]);
  const x = rows.map(([hours]) => hours * HOUR);
  const period = { xperiod: HOUR, xperiod0: 0, xperiodalignment: "middle" };
  const interval = (hours) => candles.intervalText(hours * HOUR, HOUR);
  const customdata = rows.map(([hours, , , , , count, avg]) => [avg, count, count, 0, 0, "wire", interval(hours)]);
  const prices = { open: column(1), high: column(2), low: column(3), close: column(4) };
  return {
    data: [
      { type: "candlestick", x, ...prices, customdata, ...period },
      { type: "bar", name: "count", x, y: column(5) },
      { type: "scatter", name: "average", x, y: column(6), ...period },
    ],
    layout: {
      meta: { width_ms: HOUR },
      xaxis: { range: [0, 10 * HOUR] },
      shapes: [
        { type: "line", layer: "below", y0: 0, y1: 0 },
        { type: "line", layer: "above", y0: 0.2, y1: 0.2, line: { color: "x", width: 1 } },
      ],
      annotations: [{ y: 0.2, text: "+0.200", bgcolor: "x" }],
      yaxis2: { range: [0, 2] },
    },
  };
}

const held = figure([
  [0, 0.1, 0.3, 0, 0.2, 2, 0.15],
  [1, 0.1, 0.3, 0, 0.2, 2, 0.15],
]);
const row = (hours, count, more = {}) => ({
  timestamp: at(hours),
  open: 0.1,
  high: 0.9,
  low: -0.9,
  close: -0.5,
  avg: -0.1,
  count,
  label_counts: { positive: 1, neutral: 0, negative: count - 1 },
  sources: ["a", "b", "c", "d", "e"],
  ...more,
});

test("a bucket that grew changes in place, and what was held stays as it was", () => {
  const before = structuredClone(held);
  const { data } = candles.moved(held, [row(1, 3)], colours);
  assert.deepEqual(held, before);
  assert.deepEqual(data[0].x, [0, HOUR]);
  assert.deepEqual([data[0].high, data[0].low, data[0].close], [[0.3, 0.9], [0, -0.9], [0.2, -0.5]]);
  assert.deepEqual(data[0].customdata[1], [-0.1, 3, 1, 0, 2, "a, b, c, d and 1 more", "1970-01-01 01:00 – 02:00 UTC"]);
  assert.deepEqual([data[1].y, data[2].y], [[2, 3], [0.15, -0.1]]);
});

test("a bucket that is not news changes nothing at all", () => {
  assert.equal(candles.moved(held, [row(1, 2), row(0, 1)], colours), held);
  assert.equal(candles.isNews(held, row(1, 2)), false);
  assert.equal(candles.isNews(held, row(1, 3)), true);
  assert.equal(candles.isNews(held, row(5, 1)), true);
});

test("new buckets come before, between and after, in their order", () => {
  const apart = figure([
    [2, 0.1, 0.3, 0, 0.2, 2, 0.15],
    [5, 0.1, 0.3, 0, 0.2, 2, 0.15],
  ]);
  const { data } = candles.moved(apart, [row(9, 1), row(0, 1), row(3, 1)], colours);
  assert.deepEqual(data[0].x, [0, 2, 3, 5, 9].map((hours) => hours * HOUR));
  assert.deepEqual(data[0].customdata.map((custom) => custom[1]), [1, 2, 1, 2, 1]);
  assert.deepEqual(data[2].x, [0, 2, 3, 5, 6, 9].map((hours) => hours * HOUR), "the line breaks over a long silence");
  assert.equal(data[2].y[4], null);
});

test("a candle without a body gets its tick, and loses it once it has one", () => {
  const flat = { open: 0.4, high: 0.4, low: 0.4, close: 0.4 };
  const once = candles.moved(held, [row(2, 1, flat)], colours);
  assert.deepEqual(once.data.find((each) => each.name === "flat").x, [2 * HOUR]);
  const twice = candles.moved(once, [row(2, 2)], colours);
  assert.equal(twice.data.find((each) => each.name === "flat"), undefined);
});

test("the newest close is tagged in its colour, the counts have room, and the range is left alone", () => {
  const { layout } = candles.moved(held, [row(1, 50)], colours);
  assert.deepEqual([layout.shapes[1].y0, layout.shapes[1].line], [-0.5, { color: "orange", width: 1 }]);
  assert.deepEqual(layout.annotations[0], { y: -0.5, text: "−0.500", bgcolor: "orange" });
  assert.deepEqual(layout.shapes[0], held.layout.shapes[0]);
  assert.deepEqual(layout.yaxis2.range, [0, 54]);
  assert.deepEqual(layout.xaxis, held.layout.xaxis);
});

test("an interval that ends on another day says so", () => {
  assert.equal(candles.intervalText(23 * HOUR, HOUR), "1970-01-01 23:00 – 01-02 00:00 UTC");
  assert.equal(candles.intervalText(-12 * HOUR, HOUR), "1969-12-31 12:00 – 13:00 UTC");
});
