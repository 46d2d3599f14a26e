// How buckets are told of in words. That figures are those of the server is held by tests/unit/test_figure_twin.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as candles from "../../assets/candles.mjs";

const HOUR = 3_600_000;

test("an interval that ends on another day says so", () => {
  assert.equal(candles.intervalText(23 * HOUR, HOUR), "1970-01-01 23:00 – 01-02 00:00 UTC");
  assert.equal(candles.intervalText(-12 * HOUR, HOUR), "1969-12-31 12:00 – 13:00 UTC");
});

test("many sources are counted", () => {
  assert.equal(candles.sourcesText(["a", "b"]), "a, b");
  assert.equal(candles.sourcesText(["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
});

test("a moment is written so that no zone can shift it", () => {
  assert.equal(candles.moment(Date.UTC(2014, 5, 3, 9)), "2014-06-03 09:00:00.000");
  assert.equal(candles.moment(-1), "1969-12-31 23:59:59.999");
});
