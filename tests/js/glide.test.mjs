import assert from "node:assert/strict";
import { test } from "node:test";

import { shifted, sidewaysOf, stretched } from "../../assets/glide.mjs";

const wheel = (more) => ({ deltaX: 0, deltaY: 0, deltaMode: 0, shiftKey: false, ctrlKey: false, ...more });

test("a wheel goes along time sideways or with Shift, and up and down is left to the page", () => {
  assert.equal(sidewaysOf(wheel({ deltaY: 120 })), 0);
  assert.equal(sidewaysOf(wheel({ deltaX: 30, deltaY: 40 })), 0, "nearly upright is upright");
  assert.equal(sidewaysOf(wheel({ deltaX: -40, deltaY: 30 })), -40);
  assert.equal(sidewaysOf(wheel({ deltaY: 120, shiftKey: true })), 120);
  assert.equal(sidewaysOf(wheel({ deltaX: 120, shiftKey: true })), 120, "some systems turn it themselves");
  assert.equal(sidewaysOf(wheel({ deltaX: 3, deltaMode: 1 })), 48);
  assert.equal(sidewaysOf(wheel({ deltaX: 90, ctrlKey: true })), 0, "that zooms");
});

test("what is moved keeps its length, and a moment goes as many pixels as the hand", () => {
  const [start_ms, end_ms] = shifted({ start_ms: 1_000, end_ms: 3_000, width: 100 }, -25);
  assert.deepEqual([start_ms, end_ms], [500, 2_500]);
});

test("two fingers keep the moments they lie on", () => {
  for (const places of [[100, 300], [50, 450], [250, 290], [-40, 200]]) {
    const [start_ms, end_ms] = stretched([5_000, 9_000], places, 500, 1);
    const at = (x) => start_ms + (x / 500) * (end_ms - start_ms);
    assert.ok(Math.abs(at(places[0]) - 5_000) < 1e-6 && Math.abs(at(places[1]) - 9_000) < 1e-6, String(places));
  }
});

test("fingers that meet or cross do not make a moment of a day", () => {
  const [start_ms, end_ms] = stretched([0, 86_400_000], [200, 199], 500, 300_000);
  assert.equal(end_ms - start_ms, (86_400_000 / 24) * 500);
  const [from_ms, to_ms] = stretched([0, 1_000], [0, 500], 500, 300_000);
  assert.ok(Math.abs(to_ms - from_ms - 300_000) < 1e-6, "nor less than a few candles of one");
});
