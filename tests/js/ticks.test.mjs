// The labels of axes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { countLabels, ticks } from "../../assets/ticks.mjs";

const at = (text) => Date.parse(text);
const labels = (from, to, px, zone = "UTC") => ticks(at(from), at(to), px, zone).map((each) => each.text);

test("the labels of a day are hours, and a day begins with its date", () => {
  assert.deepEqual(labels("2014-06-03T00:00:00Z", "2014-06-04T06:00:00Z", 800), [
    "3 Jun", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "4 Jun", "03:00",
  ]);
});

test("they stand at round times of the clocks there, not of UTC", () => {
  assert.deepEqual(labels("2014-06-03T00:00:00Z", "2014-06-04T00:00:00Z", 300, "Asia/Kolkata"), [
    "06:00", "12:00", "18:00", "4 Jun",
  ]);
  const [first] = ticks(at("2014-06-03T00:00:00Z"), at("2014-06-04T00:00:00Z"), 300, "Asia/Kolkata");
  assert.equal(new Date(first.at_ms).toISOString(), "2014-06-03T00:30:00.000Z");
});

test("where clocks skip an hour no label stands for it, and where they repeat one it stands once", () => {
  assert.deepEqual(labels("2014-03-29T23:00:00Z", "2014-03-30T04:00:00Z", 360, "Europe/Berlin"), [
    "30 Mar", "01:00", "03:00", "04:00", "05:00",
  ]);
  const autumn = ticks(at("2014-10-25T22:00:00Z"), at("2014-10-26T04:00:00Z"), 420, "Europe/Berlin");
  assert.deepEqual(autumn.map((each) => each.text), ["26 Oct", "01:00", "02:00", "03:00", "04:00"]);
  const hours = autumn.slice(1).map((each, place) => (each.at_ms - autumn[place].at_ms) / 3_600_000);
  assert.deepEqual(hours, [1, 1, 2, 1]);
});

test("months and years are named by where they begin", () => {
  assert.deepEqual(labels("2013-11-20T00:00:00Z", "2014-04-02T00:00:00Z", 500, "Europe/Berlin"), [
    "Dec", "2014", "Feb", "Mar", "Apr",
  ]);
  const strong = (from, to) => ticks(at(from), at(to), 500, "UTC").filter((each) => each.strong).map((each) => each.text);
  assert.deepEqual(strong("2013-11-20T00:00:00Z", "2014-04-02T00:00:00Z"), ["2014"]);
  assert.deepEqual(strong("2014-05-20T00:00:00Z", "2014-06-08T00:00:00Z"), []);
  assert.deepEqual(strong("2014-05-28T00:00:00Z", "2014-06-03T00:00:00Z"), ["1 Jun"]);
  assert.deepEqual(strong("2014-05-31T12:00:00Z", "2014-06-01T12:00:00Z"), ["1 Jun"]);
  assert.deepEqual(labels("2004-06-01T00:00:00Z", "2015-01-01T00:00:00Z", 400), ["2006", "2008", "2010", "2012", "2014"]);
});

test("labels never come closer than their width, at any zoom", () => {
  const start_ms = at("2014-03-01T00:17:00Z");
  for (let span_ms = 60_000; span_ms < 4e11; span_ms *= 1.37) {
    for (const px of [150, 390, 900]) {
      const found = ticks(start_ms, start_ms + span_ms, px, "America/New_York");
      assert.ok(found.length <= px / 60 + 1, `${span_ms} ${px}: ${found.length}`);
      for (const [place, each] of found.slice(1).entries()) {
        const gap_px = ((each.at_ms - found[place].at_ms) * px) / span_ms;
        assert.ok(gap_px > 60 * (22 / 24), `${span_ms} ${px}: ${gap_px}`);
      }
    }
  }
});

test("a range without length or a chart without width has none", () => {
  assert.deepEqual(ticks(5, 5, 100, "UTC"), []);
  assert.deepEqual(ticks(0, 5, 0, "UTC"), []);
  assert.deepEqual(ticks(NaN, 5, 100, "UTC"), []);
});

test("a scale of counts is labelled at its ends, and in the middle where that is a round number with room", () => {
  const texts = (...asked) => countLabels(...asked).map(({ text }) => text);
  assert.deepEqual(texts(1), ["0", "1"]);
  assert.deepEqual(texts(4), ["0", "2", "4"]);
  assert.deepEqual(texts(4, 3), ["0", "4"]);
  assert.deepEqual(texts(5), ["0", "5"]);
  assert.deepEqual(texts(50), ["0", "25", "50"]);
  assert.deepEqual(texts(30), ["0", "30"]);
  assert.deepEqual(texts(300), ["0", "150", "300"]);
  assert.deepEqual(texts(5000), ["0", "2.5k", "5k"]);
  assert.deepEqual(texts(2_000_000), ["0", "1M", "2M"]);
  assert.deepEqual(countLabels(8).map(({ at }) => at), [0, 4, 8]);
});
