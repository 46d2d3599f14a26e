// The figures in a chart's head, and the range that a drag leaves behind.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as chart from "../../assets/chart.mjs";

const candles = {
  x: [0, 3_600_000, 7_200_000],
  open: [0.1, 0.2, 0.3],
  high: [0.5, 0.2, 0.9],
  low: [-0.5, 0.2, -1],
  close: [-0.25, 0.2, 0.4],
  customdata: [
    [0.05, 12, 5, 4, 3, "wire", ""],
    [0.2, 1, 1, 0, 0, "wire", ""],
    [-0.0004, 12345, 1, 1, 1, "wire", ""],
  ],
};
const over = (at, curveNumber = 0) => ({ points: [{ curveNumber, pointIndex: at }] });

test("the head tells the candle under the pointer", () => {
  assert.deepEqual(chart.figures(over(0), candles), [
    ["O", "+0.100", "falling"],
    ["H", "+0.500", "falling"],
    ["L", "−0.500", "falling"],
    ["C", "−0.250", "falling"],
    ["avg", "+0.050", "average"],
    ["n", "12", "plain"],
  ]);
  assert.equal(chart.figures(over(1), candles)[0][2], "flat");
});

test("the head tells the newest candle while nothing is under the pointer", () => {
  for (const hover of [null, undefined, { points: [] }, over(0, 1)]) {
    assert.deepEqual(chart.figures(hover, candles).at(-1), ["n", "12,345", "plain"]);
    assert.deepEqual(chart.figures(hover, candles)[3], ["C", "+0.400", "rising"]);
    assert.deepEqual(chart.figures(hover, candles, 7_200_000)[3], ["C", "+0.200", "flat"], "of those in view");
  }
});

test("a pointer left from longer data tells nothing rather than something wrong", () => {
  assert.deepEqual(chart.figures(over(7), candles), []);
});

test("a chart without candles has no figures", () => {
  for (const empty of [null, {}, { x: [] }]) assert.deepEqual(chart.figures(null, empty), []);
});

test("scores carry their sign, zero has none", () => {
  assert.deepEqual([0.5, -0.5, 0, -0].map((score) => chart.signed(score)), ["+0.500", "−0.500", "0.000", "0.000"]);
  // What is shown as nothing has no side.
  assert.deepEqual([0.0004, -0.0004, -0.0006].map((score) => chart.signed(score)), ["0.000", "0.000", "−0.001"]);
});

test("a drag leaves a range in UTC, however Plotly writes it", () => {
  const nine = Date.parse("2014-06-03T09:00:00Z");
  const written = [
    { "xaxis.range[0]": "2014-06-03 09:00", "xaxis.range[1]": "2014-06-03 10:00:00.1234" },
    { "xaxis.range": ["2014-06-03 09:00:00", nine + 3_600_123] },
  ];
  for (const each of written) assert.deepEqual(chart.rangeOf(each), [nine, nine + 3_600_123]);
  assert.deepEqual(chart.rangeOf({ "xaxis.range": ["2014-06-03", "2014-06-04 11"] }), [
    Date.parse("2014-06-03T00:00:00Z"),
    Date.parse("2014-06-04T11:00:00Z"),
  ]);
});

test("what is no range is none", () => {
  const others = [null, undefined, {}, { autosize: true }, { "xaxis.autorange": true }, { "xaxis.range": ["x", "y"] }];
  for (const each of [...others, { "xaxis.range": [2, 1] }]) assert.equal(chart.rangeOf(each), null);
});
