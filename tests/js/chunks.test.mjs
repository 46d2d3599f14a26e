// Chunks: where time is cut, buckets put in their place, and what is joined for a chart.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as chunks from "../../assets/chunks.mjs";

const HOUR = 3_600_000;
const SPAN = chunks.INTERVALS * HOUR;

/** A chunk with candles at these hours, each [hour, count]. */
export function chunkOf(rows, revision = 1) {
  const column = (value) => rows.map(() => value);
  const x = rows.map(([hour]) => hour * HOUR);
  const custom = rows.map(([, count]) => [0.1, count, count, 0, 0, "wire", ""]);
  return { x, open: column(0.1), high: column(0.3), low: column(0), close: column(0.2), custom, revision };
}

export const row = (hour, count, more = {}) => ({
  ticker: "AAPL",
  resolution: "1h",
  timestamp: new Date(hour * HOUR).toISOString().replace(".000Z", "Z"),
  open: 0.1,
  high: 0.9,
  low: -0.9,
  close: -0.5,
  avg: -0.1,
  count,
  label_counts: { positive: 1, neutral: 0, negative: count - 1 },
  sources: ["a"],
  revision: 5,
  ...more,
});

test("time is cut at the same moments for everybody, before 1970 too", () => {
  assert.deepEqual([0, SPAN - 1, SPAN, -1, -SPAN].map((moment) => chunks.indexOf(moment, HOUR)), [0, 0, 1, -1, -1]);
  assert.deepEqual(chunks.spanOf(-1, HOUR), [-SPAN, 0]);
  assert.deepEqual(chunks.within(-1, SPAN + 1, HOUR), [-1, 0, 1]);
  assert.deepEqual(chunks.within(0, SPAN, HOUR), [0]);
  assert.deepEqual(chunks.within(5, 5, HOUR), []);
});

test("a bucket that grew changes in place, one that did not changes nothing", () => {
  const chunk = chunkOf([[0, 2], [1, 2]]);
  const before = chunk.custom[1];
  assert.equal(chunks.put(chunk, row(1, 2), HOUR), -1);
  assert.equal(chunk.custom[1], before);
  assert.equal(chunks.put(chunk, row(1, 3), HOUR), 1);
  assert.deepEqual([chunk.x.length, chunk.high, chunk.low, chunk.close], [2, [0.3, 0.9], [0, -0.9], [0.2, -0.5]]);
  assert.deepEqual(chunk.custom[1], [-0.1, 3, 1, 0, 2, "a", "1970-01-01 01:00 – 02:00 UTC"]);
});

test("new buckets come before, between and after, in their order", () => {
  const chunk = chunkOf([[2, 2], [5, 2]]);
  for (const hour of [9, 0, 3]) chunks.put(chunk, row(hour, 1), HOUR);
  assert.deepEqual(chunk.x, [0, 2, 3, 5, 9].map((hour) => hour * HOUR));
  assert.deepEqual(chunk.custom.map((each) => each[1]), [1, 2, 1, 2, 1]);
});

test("chunks are joined to what a chart shows, and stay as they are", () => {
  const [one, two] = [chunkOf([[0, 1], [2, 1]]), chunkOf([[480, 1], [482, 1]])];
  const joined = chunks.joined([one, two], 2 * HOUR, 482 * HOUR);
  assert.deepEqual(joined.x, [2 * HOUR, 480 * HOUR]);
  for (const name of chunks.COLUMNS) assert.equal(joined[name].length, 2, name);
  assert.equal(one.x.length, 2);
  const whole = chunks.joined([one], 0, SPAN);
  whole.x.push(1);
  assert.equal(one.x.length, 2, "a chart's arrays are its own");
});
