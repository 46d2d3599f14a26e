// Buttons, keys and what they do to a view.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as action from "../../assets/action.mjs";

const table = {
  resolutions: ["1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h"].map((name) => ({ name, width_ms: 60_000 })),
  presets: [{ name: "fit", span_ms: 0 }],
  default_preset: "fit",
  fit_candles: 240,
  comfortable_candles: [20, 750],
};
const held = { tickers: ["AAPL", "MSFT"], resolution: "1h", range: "fit", start: null, end: null };
const key = (name, more = {}) => ({ key: name, "target.tagName": "BODY", ...more });

test("the keys 1 to 8 choose the resolutions in their order", () => {
  assert.deepEqual(action.fromKey(key("1"), table), { kind: "resolution", name: "1m" });
  assert.deepEqual(action.fromKey(key("8"), table), { kind: "resolution", name: "24h" });
});

test("other keys, and keys held with others, are left to the browser", () => {
  for (const name of ["9", "b", "A", "Enter", "10"]) assert.equal(action.fromKey(key(name), table), null, name);
  for (const held_key of ["altKey", "ctrlKey", "metaKey", "repeat"]) {
    assert.equal(action.fromKey(key("1", { [held_key]: true }), table), null, held_key);
  }
  assert.equal(action.fromKey(undefined, table), null);
});

test("plus and minus go to the next resolution, 0 and End back to now", () => {
  const after = (name, view = held) => action.apply(view, action.fromKey(key(name), table), table, []);
  assert.equal(after("+").resolution, "10m");
  assert.equal(after("=").resolution, "10m");
  assert.equal(after("-").resolution, "3h");
  assert.equal(after("+", { ...held, resolution: "1m" }).resolution, "1m", "there is none finer");
  assert.equal(after("-", { ...held, resolution: "24h" }).resolution, "24h");
  const june = { ...held, range: "custom", start: "2014-06-01T00:00:00Z", end: "2014-06-13T00:00:00Z" };
  for (const name of ["0", "End"]) assert.deepEqual(after(name, june), held);
});

test("the key a and its button show or hide the averages", () => {
  assert.deepEqual(action.fromKey(key("a"), table), { kind: "average" });
  assert.equal(action.fromKey(key("a", { "target.tagName": "INPUT", "target.type": "text" }), table), null);
  assert.deepEqual(action.fromButton({ dataset: { action: "average" } }), { kind: "average" });
});

test("whoever types digits into a field means the digits", () => {
  for (const type of ["text", "search", undefined]) {
    assert.equal(action.fromKey(key("1", { "target.tagName": "INPUT", "target.type": type }), table), null);
  }
  assert.equal(action.fromKey(key("1", { "target.tagName": "TEXTAREA" }), table), null);
  assert.ok(action.fromKey(key("1", { "target.tagName": "INPUT", "target.type": "radio" }), table));
});

test("a button says in its data what it does", () => {
  const of = (dataset) => action.fromButton({ dataset });
  assert.deepEqual(of({ action: "remove", ticker: "BRK.B" }), { kind: "remove", ticker: "BRK.B" });
  assert.deepEqual(of({ action: "coarser", resolution: "1h" }), { kind: "coarser", name: "1h" });
  assert.deepEqual(of({ action: "preset", preset: "fit" }), { kind: "preset", name: "fit" });
  assert.deepEqual(of({ action: "range", start: "1", end: "2" }), { kind: "offer", start_ms: 1, end_ms: 2 });
  assert.equal(of({ action: "other" }), null);
});

test("each action changes its part of the view", () => {
  const after = (asked) => action.apply(held, asked, table, []);
  assert.deepEqual(after({ kind: "remove", ticker: "AAPL" }), { ...held, tickers: ["MSFT"] });
  assert.deepEqual(after({ kind: "resolution", name: "5m" }), { ...held, resolution: "5m" });
  assert.deepEqual(after({ kind: "coarser", name: "24h" }), { ...held, resolution: "24h" });
  assert.deepEqual(after({ kind: "range", start_ms: 0, end_ms: 60_000 }), {
    ...held,
    range: "custom",
    start: "1970-01-01T00:00:00Z",
    end: "1970-01-01T00:01:00Z",
  });
  assert.deepEqual(after({ kind: "unheard-of" }), held);
});

test("showing all of a range at a coarser resolution keeps the range", () => {
  const week = { ...held, range: "1w", resolution: "1m" };
  assert.equal(action.apply(week, { kind: "coarser", name: "10m" }, table, []).range, "1w");
});
