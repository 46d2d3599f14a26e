// What each text does to its candle, and the orders of texts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ORDERS, effectOf, roles, sorted } from "../../assets/effect.mjs";
import { WEIGHTS, weightOf } from "../../assets/evidence.mjs";

const item = (id, minute, score, source = "wire") => ({
  id,
  score,
  source,
  published: `2014-06-03T09:${String(minute).padStart(2, "0")}:00Z`,
});
// Newest first, as the API gives them.
const items = [item("e", 50, 0.1), item("d", 40, -0.9, "blog"), item("c", 30, 0.1), item("b", 20, 0.8), item("a", 10, 0.1)];
const candle = { avg: (0.1 * 3 - 0.9 + 0.8) / 5, count: 5 };
const ids = (order) => sorted(items, order, candle).map((each) => each.id).join("");

test("an effect is what the average would lose without the text", () => {
  for (const each of items) {
    const others = items.filter((other) => other !== each).map((other) => other.score);
    const without = others.reduce((sum, score) => sum + score, 0) / others.length;
    assert.ok(Math.abs(effectOf(each.score, candle) - (candle.avg - without)) < 1e-12);
  }
  assert.equal(effectOf(-0.4, { avg: -0.4, count: 1 }), -0.4, "the only text is all there is");
});

test("texts are read in several orders, and equal ones newest first", () => {
  assert.equal(ids("effect"), "dbeca");
  assert.equal(ids("newest"), "edcba");
  assert.equal(ids("oldest"), "abcde");
  assert.equal(ids("highest"), "becad");
  assert.equal(ids("lowest"), "decab");
  assert.equal(ids("source"), "decba");
  for (const [name] of ORDERS) assert.equal(ids(name).length, 5, name);
  assert.equal(items[0].id, "e", "what was given stays as it was");
});

test("the texts that decide open, high, low and close are known; of equal ones the earliest", () => {
  assert.deepEqual([...roles(items)], [["a", ["open"]], ["b", ["high"]], ["d", ["low"]], ["e", ["close"]]]);
  assert.deepEqual([...roles(items.slice(0, 1))], [["e", ["open", "high", "low", "close"]]]);
  assert.deepEqual([...roles([])], []);
});

test("a candle is worth the more the more texts it has, in few classes", () => {
  assert.deepEqual([1, 2, 4, 5, 1_000_000].map(weightOf), [0, 1, 1, 2, 2]);
  const opacities = WEIGHTS.map((each) => each.opacity);
  assert.deepEqual(opacities, [...opacities].sort((a, b) => a - b));
  assert.equal(opacities.at(-1), 1);
});
