// The browser's cache: what it holds, what becomes old, and that nothing is lost between the stream and an answer.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cache } from "../../assets/cache.mjs";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const table = { resolutions: [["10m", HOUR / 6], ["1h", HOUR], ["24h", DAY]].map(([name, width_ms]) => ({ name, width_ms })) };

class FakeShelf {
  kept = new Map();
  async chunks(keys) {
    return new Map(keys.filter((key) => this.kept.has(key)).map((key) => [key, structuredClone(this.kept.get(key))]));
  }
  async keep(entries) {
    for (const [key, chunk] of entries) this.kept.set(key, structuredClone(chunk));
  }
}

function cacheOn(shelf = new FakeShelf(), about = { store: "s", form: 1 }) {
  const cache = new Cache(shelf, about, table);
  cache.scorer = "vader@1";
  return cache;
}

/** What the API answers for candles at these hours, [hour, count] each. */
function columns(rows) {
  const column = (value) => rows.map(() => value);
  return {
    start_ms: rows.map(([hour]) => hour * HOUR),
    open: column(0.1), high: column(0.3), low: column(0), close: column(0.2), avg: column(0.1),
    count: rows.map(([, count]) => count),
    positive: column(1), neutral: column(0), negative: column(0),
    sources: column(0), source_sets: [["wire"]],
  };
}

const row = (hour, count, more = {}) => ({
  ticker: "AAPL", resolution: "1h", timestamp: new Date(hour * HOUR).toISOString(), open: 0, high: 1, low: -1, close: 0.7,
  avg: 0.1, count, label_counts: { positive: 1, neutral: 0, negative: 0 }, sources: ["wire"], revision: 9, ...more,
});

test("an answer is kept, on the shelf as well, and comes back old until the server has been asked", async () => {
  const shelf = new FakeShelf();
  const cache = cacheOn(shelf);
  cache.take("AAPL", "1h", 0, columns([[1, 2]]), 7, "tag");
  assert.equal(cache.get("AAPL", "1h", 0).isOld, false);
  await cache.save();
  const later = cacheOn(shelf);
  assert.equal(later.get("AAPL", "1h", 0), undefined);
  assert.equal(await later.fetch([["AAPL", "1h", 0], ["AAPL", "1h", 1]]), 1);
  const chunk = later.get("AAPL", "1h", 0);
  assert.deepEqual([chunk.x, chunk.isOld, chunk.etag, chunk.revision], [[HOUR], true, "tag", 7]);
  later.confirm("AAPL", "1h", 0, 8);
  assert.deepEqual([chunk.isOld, chunk.revision], [false, 8]);
});

test("what was kept of another store, scorer or form is not read", async () => {
  const shelf = new FakeShelf();
  const cache = cacheOn(shelf);
  cache.take("AAPL", "1h", 0, columns([[1, 2]]), 7, "tag");
  await cache.save();
  for (const about of [{ store: "t", form: 1 }, { store: "s", form: 2 }]) {
    assert.equal(await cacheOn(shelf, about).fetch([["AAPL", "1h", 0]]), 0);
  }
  const other = cacheOn(shelf);
  other.scorer = "finbert@2";
  assert.equal(await other.fetch([["AAPL", "1h", 0]]), 0);
});

test("a bucket of the stream goes into its chunk, and makes old just what lies in its time elsewhere", () => {
  const cache = cacheOn();
  for (const index of [0, 1]) cache.take("AAPL", "10m", index, columns([]), 7, "a");
  cache.take("AAPL", "1h", 0, columns([[90, 2]]), 7, "b");
  cache.take("AAPL", "24h", 0, columns([[72, 2]]), 7, "c");
  cache.take("MSFT", "10m", 1, columns([]), 7, "d");
  assert.equal(cache.put(row(90, 2), ["1h"]), false, "no news");
  assert.equal(cache.put(row(90, 3), ["1h"]), true);
  assert.equal(cache.get("AAPL", "1h", 0).close[0], 0.7);
  assert.equal(cache.get("AAPL", "1h", 0).isOld, false);
  // A chunk of 10m is 80 hours.
  assert.deepEqual([0, 1].map((index) => cache.get("AAPL", "10m", index).isOld), [false, true]);
  assert.equal(cache.get("AAPL", "24h", 0).isOld, true);
  assert.equal(cache.get("MSFT", "10m", 1).isOld, false);
});

test("what the stream keeps up to date, and answers newer than the news, do not become old", () => {
  const cache = cacheOn();
  cache.take("AAPL", "10m", 1, columns([]), 7, "a");
  cache.take("AAPL", "24h", 0, columns([]), 12, "b");
  cache.put(row(90, 3), ["10m", "1h"]);
  assert.equal(cache.get("AAPL", "10m", 1).isOld, false);
  assert.equal(cache.get("AAPL", "24h", 0).isOld, false);
});

test("a bucket that came before an older answer is in it", () => {
  const cache = cacheOn();
  cache.put(row(90, 3), ["1h"]);
  cache.take("AAPL", "1h", 0, columns([[90, 2]]), 7, "a");
  assert.deepEqual(cache.get("AAPL", "1h", 0).custom[0][1], 3);
  cache.take("AAPL", "1h", 0, columns([[90, 4]]), 10, "b");
  assert.deepEqual(cache.get("AAPL", "1h", 0).custom[0][1], 4, "and does not take back a newer one");
});

test("memory is bounded, and what it lets go is on the shelf", async () => {
  const shelf = new FakeShelf();
  const cache = cacheOn(shelf);
  for (let index = 0; index < 500; index += 1) cache.take("AAPL", "1h", index, columns([]), 1, "a");
  await cache.save();
  assert.equal(cache.get("AAPL", "1h", 0), undefined);
  assert.ok(cache.get("AAPL", "1h", 499));
  assert.equal(await cache.fetch([["AAPL", "1h", 0]]), 1);
});

test("tickers that were not watched for a while are old, others are not", () => {
  const cache = cacheOn();
  cache.take("AAPL", "1h", 0, columns([]), 1, "a");
  cache.take("MSFT", "1h", 0, columns([]), 1, "a");
  cache.age("AAPL");
  assert.deepEqual(["AAPL", "MSFT"].map((ticker) => cache.get(ticker, "1h", 0).isOld), [true, false]);
  cache.age();
  assert.equal(cache.get("MSFT", "1h", 0).isOld, true);
});
