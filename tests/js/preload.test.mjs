// The loader: what is asked for first, in how many requests, what is abandoned, and what a failure costs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, Loader, requestsOf } from "../../assets/preload.mjs";

const HOUR = 3_600_000;
const want = (ticker, index, isUrgent = true, resolution = "1h") => ({ ticker, resolution, index, isUrgent });
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A loader over a server that answers when told to, and what was asked of it. */
function setUp(cacheTag = undefined) {
  const asked = [];
  const news = [];
  const taken = [];
  const cache = {
    choice: { scorer: "vader@1" },
    widthOf: () => HOUR,
    get: () => (cacheTag ? { etag: cacheTag } : undefined),
    take: (...what) => taken.push(what.slice(0, 3).join(" ")),
    confirm: (...what) => taken.push(`confirmed ${what.slice(0, 3).join(" ")}`),
  };
  const fetcher = (address, { signal }) =>
    new Promise((resolve, reject) => {
      const url = new URL(address, "http://page");
      const tickers = url.searchParams.get("tickers");
      signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      asked.push({
        url,
        signal,
        what: `${tickers} ${url.searchParams.get("start")}`,
        answer: (status = 200) =>
          resolve({
            ok: status < 400,
            status,
            headers: new Map([["ETag", "tag"], ["Tickertone-Revision", "7"]]),
            text: async () => JSON.stringify({ series: tickers.split(",").map((ticker) => ({ ticker })) }),
          }),
        fail: () => reject(new TypeError("Failed to fetch")),
      });
    });
  return { loader: new Loader(cache, (told) => news.push(told), fetcher), asked, news, taken };
}

test("tickers share a request where they want the same time, in the order of what is wanted", () => {
  const wanted = [want("B", 1), want("A", 1), want("A", 0), want("C", 1, false)];
  assert.deepEqual(requestsOf(wanted).map(({ index, tickers }) => [index, tickers]), [[1, ["B", "A"]], [0, ["A"]], [1, ["C"]]]);
});

test("an address names exactly one chunk", () => {
  const address = addressOf({ tickers: ["A", "BTC/USD"], resolution: "1h", index: 1 }, HOUR, { scorer: "vader@1" });
  const asked = Object.fromEntries(new URL(address, "http://page").searchParams);
  assert.deepEqual(asked, {
    tickers: "A,BTC/USD", resolution: "1h", start: "1970-01-21T00:00:00Z", end: "1970-02-10T00:00:00Z", limit: "480",
    format: "columns", scorer: "vader@1",
  });
});

test("what is urgent goes first and together, the rest waits for it and goes one by one", async () => {
  const { loader, asked, taken } = setUp();
  loader.want([want("A", 3), want("A", 2), want("A", 1, false), want("A", 0, false)]);
  assert.equal(asked.length, 2);
  asked[0].answer();
  asked[1].answer();
  await turn();
  assert.equal(asked.length, 3);
  asked[2].answer();
  await turn();
  assert.equal(asked.length, 4);
  assert.deepEqual(taken, ["A 1h 3", "A 1h 2", "A 1h 1"]);
});

test("what nobody wants any more is abandoned, what is still wanted is not asked for twice", async () => {
  const { loader, asked, news } = setUp();
  loader.want([want("A", 3), want("A", 2)]);
  loader.want([want("A", 2), want("B", 2)]);
  assert.deepEqual(asked.map((each) => each.signal.aborted), [true, false, false]);
  assert.equal(asked[2].url.searchParams.get("tickers"), "B");
  await turn();
  assert.deepEqual(news, [], "an abandoned request is no failure");
});

test("an answer that is held already is not read again", async () => {
  const { loader, asked, taken, news } = setUp("tag");
  loader.want([want("A", 3)]);
  asked[0].answer();
  await turn();
  assert.deepEqual(taken, ["confirmed A 1h 3"]);
  assert.equal(news[0].isNew, false);
});

test("a server that is gone is asked again, at once when told to", async () => {
  const { loader, asked, news } = setUp();
  loader.want([want("A", 3)]);
  asked[0].fail();
  await turn();
  assert.ok(news[0].error);
  assert.equal(loader.isCutOff, true);
  loader.want([want("A", 3)]);
  assert.equal(asked.length, 1, "not before its time");
  loader.again();
  assert.equal(asked.length, 2);
  asked[1].answer();
  await turn();
  assert.equal(loader.isCutOff, false);
});
