// The candle that is open in the address, what is taken away, steps from candle to candle, and ages of sources.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as place from "../../assets/place.mjs";
import { addressOf, exportOf } from "../../assets/share.mjs";
import { ageText, stateOf } from "../../assets/sources.mjs";
import { candleAt, nearest } from "../../assets/stage.mjs";
import { stepTo } from "../../assets/walk.mjs";

const HOUR = 3_600_000;
const start = Date.parse("2014-06-03T09:00:00Z");
const open = { ticker: "BTC/USD", start_ms: start, order: "newest" };

test("what is open comes back from its address, which says nothing else of it", () => {
  const search = place.format("?tickers=BTC/USD&candle=OLD@2014-01-01T00:00:00Z&sort=lowest&range=fit", open);
  assert.equal(search, "?tickers=BTC/USD&range=fit&candle=BTC%2FUSD@2014-06-03T09:00:00Z&sort=newest");
  assert.deepEqual(place.parse(search), open);
  assert.equal(place.format(search, null), "?tickers=BTC/USD&range=fit");
  assert.equal(place.format("?a=1", { ...open, order: "effect" }), "?a=1&candle=BTC%2FUSD@2014-06-03T09:00:00Z");
});

test("an address that names no candle rightly opens none", () => {
  for (const search of ["", "?candle=", "?candle=AAPL", "?candle=@2014-06-03", "?candle=AAPL@yesterday"]) {
    assert.equal(place.parse(search), null, search);
  }
  assert.equal(place.parse("?candle=AAPL@2014-06-03T09:00:00Z&sort=nonsense").order, "effect");
});

const held = { tickers: ["AAPL", "BTC/USD"], resolution: "1h", range: "fit", start: null, end: null };
const range = { start_ms: start + HOUR / 2, end_ms: start + 3.5 * HOUR, width_ms: HOUR };

test("a shared address has the times of now and the zone, whatever was chosen", () => {
  assert.equal(
    addressOf(held, range, "Europe/Berlin", (search) => search),
    "?tickers=AAPL,BTC%2FUSD&resolution=1h&start=2014-06-03T09:30:00Z&end=2014-06-03T12:30:00Z&tz=Europe/Berlin",
  );
});

test("an export holds every bucket of which some is in view, and the texts of these, as the bar says they count", () => {
  const asked = (what, chosen = {}) => Object.fromEntries(new URLSearchParams(exportOf({ ...held, ...chosen }, range, what, "csv").split("?")[1]));
  const both = { tickers: "AAPL,BTC/USD", start: "2014-06-03T09:00:00Z", end: "2014-06-03T12:30:00Z", format: "csv" };
  assert.deepEqual(asked("buckets"), { what: "buckets", resolution: "1h", ...both });
  assert.deepEqual(asked("items"), { what: "items", ...both });
  const chosen = { scorer: "vader@1", variant: "once" };
  assert.deepEqual(asked("buckets", chosen), { what: "buckets", resolution: "1h", ...chosen, ...both });
  assert.deepEqual(asked("items", chosen), { what: "items", ...chosen, ...both });
});

const chart = {
  data: [{ x: [0, 1, 2, 5, 6, 40].map((hours) => start + hours * HOUR) }],
  layout: { meta: { width_ms: HOUR } },
  _fullLayout: {
    xaxis: { range: [start, start + 6 * HOUR], r2l: (each) => each, _offset: 0, _length: 100 },
    yaxis: { range: [-1, 1], _offset: 0, _length: 100 },
  },
};

test("a moment is of the candle whose bucket holds it, or of none", () => {
  assert.deepEqual([-1, 0, HOUR - 1, HOUR, 3 * HOUR, 99 * HOUR].map((at) => candleAt(chart, start + at)), [-1, 0, 0, 1, -1, -1]);
  assert.equal(nearest([], 5), -1);
});

test("keys lead from candle to candle, over gaps, and begin with the newest in view", () => {
  const at = (key, place) => stepTo(key, chart, place === null ? null : chart.data[0].x[place]);
  assert.equal(at("ArrowLeft", null), 3);
  assert.equal(at("ArrowRight", 2), 3);
  assert.equal(at("ArrowLeft", 3), 2);
  assert.equal(at("ArrowLeft", 0), 0);
  assert.equal(at("ArrowRight", 5), 5);
  assert.deepEqual([at("Home", 3), at("End", 3), at("End", null), at("PageUp", 5)], [0, 5, 5, 0]);
  assert.equal(at("x", 3), null);
  assert.equal(stepTo("ArrowLeft", { ...chart, data: [{ x: [] }] }, null), null);
});

test("a source is well, failing or waiting, and an age is told in its largest unit", () => {
  const ok = { last_success: "2014-06-03T09:00:00Z" };
  assert.deepEqual([ok, { ...ok, is_failing: true }, { last_success: null }].map(stateOf), ["well", "failing", "waiting"]);
  assert.deepEqual([-5, 3.4, 119, 120, 7_199, 7_200, 200_000].map(ageText), ["0 s", "3 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
});
