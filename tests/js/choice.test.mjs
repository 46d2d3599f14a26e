// What is counted: in the address, on the screen, and how candles of a variant are kept up to date.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cache } from "../../assets/cache.mjs";
import * as choice from "../../assets/choice.mjs";
import * as chunks from "../../assets/chunks.mjs";
import { Loader } from "../../assets/preload.mjs";
import { Recount, addressOf, spreadOf } from "../../assets/recount.mjs";
import * as view from "../../assets/view.mjs";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const table = {
  variants: [["all", "All texts"], ["once", "Each story once"]].map(([name, statement]) => ({ name, statement })),
  resolutions: [["1h", HOUR], ["3h", 3 * HOUR], ["24h", DAY]].map(([name, width_ms]) => ({ name, width_ms })),
  default_resolution: "1h", default_preset: "fit", max_tickers: 50, default_tickers: 1,
};
const emptyShelf = { chunks: async () => new Map(), keep: async () => {} };

function cacheOf(variant) {
  const cache = new Cache(emptyShelf, { store: "s", form: 1 }, table);
  cache.scorer = "a@1";
  cache.variant = variant;
  return cache;
}

/** What the API answers for candles at these hours, [hour, count] each. */
function columns(rows, ticker = "A") {
  const column = (value) => rows.map(() => value);
  return {
    ticker, start_ms: rows.map(([hour]) => hour * HOUR),
    open: column(0.1), high: column(0.3), low: column(0), close: column(0.2), avg: column(0.1),
    count: rows.map(([, count]) => count), positive: column(1), neutral: column(0), negative: column(0),
    sources: column(0), source_sets: [["wire"]],
  };
}
const row = (hour, resolution = "1h", ticker = "A") => ({ ticker, resolution, timestamp: new Date(hour * HOUR).toISOString() });
const held = (cache) => cache.get("A", "1h", 0).x.map((start_ms, at) => [start_ms / HOUR, cache.get("A", "1h", 0).custom[at][1]]);
const settled = () => new Promise((resolve) => setTimeout(resolve, 320));

test("the address holds what is counted, and nothing where that is as usual", () => {
  const search = "?tickers=A&resolution=1h&range=fit&variant=once&scorer=vader@3.3.2";
  const chosen = view.parse(search, table, []);
  assert.deepEqual([chosen.variant, chosen.scorer], ["once", "vader@3.3.2"]);
  assert.equal(view.format(chosen), search);
  assert.equal(view.format(choice.withVariant(choice.withScorer(chosen, null), "all", table)), "?tickers=A&resolution=1h&range=fit");
  assert.deepEqual(choice.parse(new URLSearchParams("variant=all&scorer="), table), {});
});

test("the screen says what is counted, by whom, and since when that can be told", () => {
  assert.equal(choice.statement({}, table), "All texts");
  assert.equal(choice.statement({ variant: "once" }, table), "Each story once");
  assert.equal(choice.statement({ variant: "once", scorer: "b@2" }, table, 10 * DAY), "Each story once, since 1970-01-11 · b@2");
});

test("chunks of another variant or scorer are other chunks", () => {
  const cache = cacheOf("once");
  cache.take("A", "1h", 0, columns([[1, 1]]), 1, "t");
  cache.variant = undefined;
  assert.equal(cache.get("A", "1h", 0), undefined);
  cache.variant = "once";
  assert.deepEqual(held(cache), [[1, 1]]);
});

test("an answer to what was asked before another variant was chosen is dropped, and asked for anew", async () => {
  const cache = cacheOf(undefined);
  const asked = [];
  const loader = new Loader(cache, () => {}, async (address) => {
    asked.push(new URL(address, "http://page").searchParams.get("variant"));
    if (asked.length === 1) cache.variant = "once";
    const body = { series: [columns([[1, asked.length]])], complete_from: null };
    return new Response(JSON.stringify(body), { headers: { ETag: "t", "Tickertone-Revision": "1" } });
  });
  loader.want([{ ticker: "A", resolution: "1h", index: 0, isUrgent: true }]);
  await settled();
  assert.deepEqual(asked, [null, "once"]);
  assert.deepEqual(held(cache), [[1, 2]]);
});

test("a change makes the day behind it uncertain too; the finest resolution says when it was", () => {
  const widthOf = (name) => table.resolutions.find((each) => each.name === name).width_ms;
  const spread = spreadOf([row(50, "3h"), row(51), row(40), row(30, "1h", "B")], widthOf);
  assert.deepEqual([...spread], [["A", [40 * HOUR, 76 * HOUR]], ["B", [30 * HOUR, 55 * HOUR]]]);
  const { address, first_ms, stop_ms } = addressOf(["A", "B"], "3h", 3 * HOUR, [40 * HOUR, 76 * HOUR], cacheOf("once").choice);
  assert.deepEqual([first_ms / HOUR, stop_ms / HOUR], [39, 78]);
  assert.match(address, /variant=once/);
  assert.match(address, /start=1970-01-02T15%3A00%3A00Z&end=1970-01-04T06%3A00%3A00Z/);
});

test("a stretch that is counted anew takes the place of what was held of it: candles may shrink or vanish", () => {
  const cache = cacheOf("once");
  cache.take("A", "1h", 0, columns([[1, 1], [5, 4], [6, 2], [30, 3]]), 1, "t");
  const [kept] = cache.get("A", "1h", 0).custom;
  cache.patch("A", "1h", [HOUR, 20 * HOUR], columns([[1, 1], [5, 3]]), 2);
  assert.deepEqual(held(cache), [[1, 1], [5, 3], [30, 3]]);
  assert.equal(cache.get("A", "1h", 0).custom[0], kept, "what is the same is the same array, so that little is drawn");
  cache.take("A", "1h", 0, columns([[1, 1], [5, 4], [6, 2], [30, 3]]), 1, "t"); // an older answer that came later
  assert.deepEqual(held(cache), [[1, 1], [5, 3], [30, 3]]);
  cache.take("A", "1h", 0, columns([[9, 9]]), 3, "u");
  assert.deepEqual(held(cache), [[9, 9]]);
});

test("nothing is drawn anew where a recount says the same", () => {
  const cache = cacheOf("once");
  cache.take("A", "1h", 0, columns([[1, 1]]), 1, "t");
  const { stamp } = cache.get("A", "1h", 0);
  cache.patch("A", "1h", [0, 20 * HOUR], columns([[1, 1]]), 2);
  assert.equal(cache.get("A", "1h", 0).stamp, stamp);
});

test("what the stream brings within a quarter of a second is asked for once for each resolution in view", async () => {
  const cache = cacheOf("once");
  cache.take("A", "1h", 0, columns([[50, 1]]), 1, "t");
  cache.take("A", "24h", 0, columns([[48, 1]]), 1, "t");
  const asked = [];
  const told = [];
  const recount = new Recount(cache, (news) => told.push(news.tickers), async (address) => {
    asked.push(new URL(address, "http://page").searchParams.get("resolution"));
    if (asked.length === 1) throw new TypeError("no network");
    return new Response(JSON.stringify({ series: [columns([[50, 2], [51, 1]])], revision: 2 }));
  });
  recount.put([row(50), row(48, "3h")], ["1h", "3h"]);
  recount.put([row(51)], ["1h", "3h"]);
  assert.equal(cache.get("A", "24h", 0).isOld, true);
  await settled();
  assert.deepEqual([asked, told], [["1h"], []]); // it failed, and is tried again
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  assert.deepEqual(asked, ["1h", "1h", "3h"]);
  assert.deepEqual(told, [["A"], ["A"]]);
  assert.deepEqual(held(cache), [[50, 2], [51, 1]]);
});

test("replacing keeps within the chunk", () => {
  const chunk = chunks.fromColumns(columns([[479, 1]]), HOUR, 1);
  assert.equal(chunks.replace(chunk, 0, [478 * HOUR, 482 * HOUR], columns([[478, 1], [479, 2], [480, 5]]), HOUR), true);
  assert.deepEqual(chunk.x.map((each) => each / HOUR), [478, 479]);
});
