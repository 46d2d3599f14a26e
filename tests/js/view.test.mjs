// The view in the address bar, and how each choice changes it.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as view from "../../assets/view.mjs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const widths = { "1m": 1, "5m": 5, "10m": 10, "1h": 60, "3h": 180, "6h": 360, "12h": 720, "24h": 1440 };
const table = {
  resolutions: Object.entries(widths).map(([name, minutes]) => ({ name, width_ms: minutes * MINUTE })),
  presets: [
    { name: "fit", span_ms: 0 },
    { name: "1d", span_ms: DAY },
    { name: "1w", span_ms: 7 * DAY },
    { name: "1M", span_ms: 30 * DAY },
    { name: "all", span_ms: null },
  ],
  default_resolution: "1h",
  default_preset: "fit",
  default_tickers: 2,
  fit_candles: 240,
  comfortable_candles: [20, 750],
  max_tickers: 5,
  symbol_pattern: "[A-Z]+(?:[.][A-Z]+)*",
};
const start = Date.parse("2014-01-01T00:00:00Z");
const known = [
  ["AAPL", 50, start, start + 300 * DAY],
  ["BRK.B", 900, start, start + 10 * DAY],
  ["MSFT", 50, start + 100 * DAY, start + 365 * DAY],
];
const fit = { tickers: ["AAPL"], resolution: "1h", range: "fit", start: null, end: null };
const june = { ...fit, range: "custom", start: "2014-06-01T00:00:00Z", end: "2014-06-13T00:00:00Z" };

test("an address without anything shows the tickers most written about", () => {
  assert.deepEqual(view.parse("", table, known), { ...fit, tickers: ["BRK.B", "AAPL"] });
});

test("an address that names no ticker on purpose shows none", () => {
  assert.deepEqual(view.parse("?tickers=", table, known).tickers, []);
});

test("a whole view comes back from its address", () => {
  const views = [
    fit,
    june,
    { ...fit, tickers: ["BRK.B", "CRYPTO:BTC", "BTC/USD", "^GSPC", "EURUSD=X"], resolution: "24h", range: "1M" },
    { ...fit, tickers: [] },
  ];
  for (const each of views) assert.deepEqual(view.parse(view.format(each), table, known), each);
});

test("an address can be read by people", () => {
  assert.equal(
    view.format({ ...june, tickers: ["AAPL", "MSFT"] }),
    "?tickers=AAPL,MSFT&resolution=1h&start=2014-06-01T00:00:00Z&end=2014-06-13T00:00:00Z",
  );
  assert.equal(view.format(fit), "?tickers=AAPL&resolution=1h&range=fit");
});

test("an address typed by hand is tidied: case, blanks, dollar signs, repeats", () => {
  assert.deepEqual(view.parse("?tickers=aapl, $msft,,AAPL", table, known).tickers, ["AAPL", "MSFT"]);
});

test("an address names no more tickers than a page shows", () => {
  assert.equal(view.parse("?tickers=A,B,C,D,E,F,G", table, known).tickers.length, 5);
});

test("what is wrong in an address is kept for the server to explain", () => {
  assert.equal(view.parse("?resolution=7m", table, known).resolution, "7m");
  assert.deepEqual(view.parse("?start=yesterday&end=today", table, known).start, "yesterday");
});

test("one end of a range is completed to a full chart", () => {
  const from = view.parse("?resolution=1h&start=2014-06-01T00:00:00Z", table, known);
  assert.deepEqual([from.range, from.end], ["custom", "2014-06-11T00:00:00Z"]);
  const to = view.parse("?resolution=1h&end=2014-06-11T00:00:00Z", table, known);
  assert.deepEqual([to.range, to.start], ["custom", "2014-06-01T00:00:00Z"]);
  assert.equal(view.parse("?resolution=7m&start=never", table, known).end, "never");
});

test("a range that follows the newest scores keeps doing so at another resolution", () => {
  assert.deepEqual(view.withResolution(fit, "1m", table, known), { ...fit, resolution: "1m" });
  assert.deepEqual(view.withResolution({ ...fit, range: "1w" }, "10m", table, known).range, "fit", "1,008 candles");
  assert.deepEqual(view.withResolution({ ...fit, range: "1w" }, "3h", table, known).range, "1w", "56 candles");
  assert.deepEqual(view.withResolution({ ...fit, range: "1d" }, "24h", table, known).range, "fit", "one candle");
});

test("a fixed range keeps its end at a resolution that cannot show all of it", () => {
  const finer = view.withResolution(june, "1m", table, known);
  assert.deepEqual([finer.start, finer.end], ["2014-06-12T20:00:00Z", june.end]);
  const coarser = view.withResolution(june, "24h", table, known);
  assert.deepEqual([coarser.start, coarser.end], ["2013-10-16T00:00:00Z", june.end]);
  assert.deepEqual(view.withResolution(june, "3h", table, known), { ...june, resolution: "3h" }, "96 candles");
});

test("a preset comes with the nearest resolution at which it can be read", () => {
  const chosen = (resolution, name) => view.withPreset({ ...june, resolution }, name, table, known).resolution;
  assert.equal(chosen("1h", "1d"), "1h", "24 candles");
  assert.equal(chosen("24h", "1d"), "1h");
  assert.equal(chosen("1m", "1d"), "5m", "288 candles instead of 1,440");
  assert.equal(chosen("1m", "1M"), "1h", "720 candles");
  assert.equal(chosen("1m", "fit"), "1m");
});

test("a preset forgets the fixed range", () => {
  const { range, start: from, end } = view.withPreset(june, "1w", table, known);
  assert.deepEqual([range, from, end], ["1w", null, null]);
});

test("all there is means of the tickers shown", () => {
  const chosen = (...tickers) => view.withPreset({ ...fit, tickers }, "all", table, known).resolution;
  assert.equal(chosen("BRK.B"), "1h", "10 days");
  assert.equal(chosen("AAPL", "MSFT"), "12h", "365 days");
  assert.equal(chosen("NOPE"), "1h");
});

test("a span too long or too short for every resolution takes the last or the first", () => {
  const offered = (days) => view.withOffer(fit, start, start + days * DAY, table).resolution;
  assert.equal(offered(10_000), "24h");
  assert.equal(offered(0.001), "1m");
});

test("an offer is shown at a resolution that fits it, from its first to its last day", () => {
  const offered = view.withOffer({ ...fit, resolution: "1m" }, start, start + 100 * DAY, table);
  assert.deepEqual(offered, {
    ...fit,
    resolution: "6h",
    range: "custom",
    start: "2014-01-01T00:00:00Z",
    end: "2014-04-11T00:00:00Z",
  });
});

test("tickers are added and removed without touching the rest", () => {
  assert.deepEqual(view.withTickers(june, ["MSFT", "AAPL"], table), { ...june, tickers: ["MSFT", "AAPL"] });
  assert.deepEqual(view.withTickers(june, null, table).tickers, []);
  assert.deepEqual(view.without({ ...june, tickers: ["MSFT", "AAPL"] }, "MSFT").tickers, ["AAPL"]);
});

test("a ticker nobody knows can still be unchosen", () => {
  const names = view.options({ ...fit, tickers: ["NOPE", "AAPL"] }, known).map((each) => each.value);
  assert.deepEqual(names, ["NOPE", "AAPL", "BRK.B", "MSFT"]);
});

test("moments are written to the second", () => {
  assert.equal(view.iso(start + 499), "2014-01-01T00:00:00Z");
  assert.equal(view.iso(start + 500), "2014-01-01T00:00:01Z");
});

test("only what can be a ticker is asked of the stream, known or not", () => {
  const odd = { ...fit, tickers: ["AAPL", "NEWCO", "NO SYMBOL", "BRK.B", "BRK."] };
  assert.deepEqual(view.symbols(odd, table), ["AAPL", "NEWCO", "BRK.B"]);
});
