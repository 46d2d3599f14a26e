// Watchlists, and how a view is arranged.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as arrangement from "../../assets/arrangement.mjs";
import * as watchlist from "../../assets/watchlist.mjs";

/** What a browser keeps, with room for so many characters. */
function memory(room = 5_000, kept = null) {
  return {
    getItem: () => kept,
    setItem(_, text) {
      if (text.length > room) throw new DOMException("full", "QuotaExceededError");
      kept = text;
    },
  };
}

test("a list that was saved is there again, in place of one of its name", () => {
  const storage = memory();
  assert.ok(watchlist.save(storage, "Tech", ["AAPL", "MSFT"]));
  assert.ok(watchlist.save(storage, "Banks", ["C"]));
  assert.ok(watchlist.save(storage, "Tech", ["AAPL"]));
  assert.deepEqual(watchlist.read(storage), [
    { name: "Banks", tickers: ["C"] },
    { name: "Tech", tickers: ["AAPL"] },
  ]);
  assert.ok(watchlist.isKept(watchlist.read(storage), "Tech", ["AAPL"]));
  assert.ok(!watchlist.isKept(watchlist.read(storage), "Tech", ["AAPL", "C"]));
  watchlist.remove(storage, "Tech");
  assert.deepEqual(watchlist.read(storage).map((each) => each.name), ["Banks"]);
});

test("a browser that keeps nothing, or something else, has no lists and says so", () => {
  const broken = { getItem: () => { throw new DOMException("off", "SecurityError"); }, setItem: () => { throw new DOMException("off"); } };
  assert.deepEqual(watchlist.read(broken), []);
  assert.equal(watchlist.save(broken, "Tech", ["AAPL"]), false);
  assert.deepEqual([watchlist.read(null), watchlist.save(null, "Tech", ["AAPL"])], [[], false]);
  assert.equal(watchlist.save(memory(10), "Tech", ["AAPL"]), false);
  for (const kept of ["", "{", "5", "null", '[1, {"name": ""}, {"name": "x"}]']) {
    assert.deepEqual(watchlist.read(memory(9, kept)), [], kept);
  }
});

test("a name is one line of bounded length", () => {
  assert.equal(watchlist.tidyName("  a \n b\t"), "a b");
  assert.equal(watchlist.tidyName("x".repeat(99)).length, watchlist.LONGEST_NAME);
  assert.equal(watchlist.tidyName(null), "");
});

const held = { tickers: ["A", "B", "C", "D"], resolution: "1h", range: "fit", start: null, end: null };

test("a ticker is moved to a place, and one beyond the end is the last", () => {
  assert.deepEqual(arrangement.moved(held.tickers, "A", 2), ["B", "C", "A", "D"]);
  assert.deepEqual(arrangement.moved(held.tickers, "D", 0), ["D", "A", "B", "C"]);
  assert.deepEqual(arrangement.moved(held.tickers, "B", 99), ["A", "C", "D", "B"]);
  assert.deepEqual(arrangement.moved(held.tickers, "B", -1), ["B", "A", "C", "D"]);
  assert.equal(arrangement.moved(held.tickers, "Z", 0), held.tickers);
});

test("the focus comes and goes, and is none on a ticker that is not there", () => {
  const focused = arrangement.apply(held, { kind: "focus", ticker: "B" });
  assert.equal(arrangement.focusOf(focused), "B");
  assert.deepEqual(arrangement.apply(focused, { kind: "focus", ticker: "B" }), held);
  assert.equal(arrangement.focusOf({ ...focused, tickers: ["A", "C"] }), null);
  assert.equal(arrangement.focusOf({ ...focused, tickers: ["B"] }), null, "a chart alone needs no focus");
});

test("an address says how a view is arranged, and nothing of what is as usual", () => {
  const arranged = { ...held, focus: "B", list: "My list: 1 & 2", zone: "America/New_York" };
  const address = arrangement.format(arranged).join("&");
  assert.equal(address, "focus=B&list=My%20list:%201%20%26%202&tz=America/New_York");
  assert.deepEqual({ ...held, ...arrangement.parse(new URLSearchParams(address)) }, arranged);
  assert.deepEqual(arrangement.format(held), []);
  assert.deepEqual(arrangement.parse(new URLSearchParams("tz=Mars/Olympus&list=&focus=")), {});
});

test("a list brings its tickers and its name, the zone is chosen and given up", () => {
  const listed = arrangement.apply(held, { kind: "list", name: "Tech", tickers: ["X"] });
  assert.deepEqual([listed.tickers, listed.list], [["X"], "Tech"]);
  const zoned = arrangement.apply(held, { kind: "zone", zone: "Asia/Tokyo" });
  assert.equal(zoned.zone, "Asia/Tokyo");
  assert.deepEqual(arrangement.apply(zoned, { kind: "zone", zone: null }), held);
});
