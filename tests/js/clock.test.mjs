// The server's clock in the browser, and how far an open bucket is.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as clock from "../../assets/clock.mjs";

test("time is the server's, however wrong the clock here is", () => {
  const wrong = 7 * 3_600_000;
  clock.set(1_000_000, 1_000_000 + wrong);
  assert.equal(clock.now_ms(1_005_000 + wrong), 1_005_000);
  clock.set(0, 0);
});

test("progress is 0 at the start, below 100 until the end, and 100 from then on", () => {
  const at = (moment) => clock.percent(60_000, 120_000, moment);
  assert.deepEqual([59_999, 60_000, 90_000, 119_999, 120_000, 500_000].map(at), [0, 0, 50, 99, 100, 100]);
});

test("progress works before 1970", () => {
  assert.equal(clock.percent(-60_000, 0, -15_000), 75);
});

test("the time left is minutes and seconds, with hours where there are some, and never negative", () => {
  const left = (seconds) => clock.left(seconds * 1000, 0);
  assert.deepEqual([0, 0.2, 59, 61, 3599, 3600, 86_399].map(left), [
    "00:00",
    "00:01",
    "00:59",
    "01:01",
    "59:59",
    "1:00:00",
    "23:59:59",
  ]);
  assert.equal(clock.left(0, 5_000), "00:00");
});

test("every open bucket on the page is told", () => {
  const element = (start, end) => ({
    dataset: { startMs: String(start), endMs: String(end) },
    textContent: "",
    style: { setProperty: (name, value) => (element.done = `${name}: ${value}`) },
  });
  clock.set(90_000, Date.now());
  const [open, over] = [element(60_000, 3_660_000), element(0, 60_000)];
  clock.paint({ querySelectorAll: () => [open, over] });
  assert.match(open.textContent, /^0 % · 59:\d\d left$/);
  assert.equal(over.textContent, "closing");
  clock.set(0, 0);
});
