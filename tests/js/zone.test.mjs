// Time zones: what clocks show, which moment they mean, and what they do when summer time comes and goes.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as zone from "../../assets/zone.mjs";

const at = (text) => Date.parse(text);
const iso = (moment_ms) => new Date(moment_ms).toISOString().replace(".000Z", "Z");

test("clocks show what the table of zones says, over every change of summer time", () => {
  for (const [moment, name, shown, offset] of [
    ["2014-06-03T12:00:00Z", "UTC", "2014-06-03 12:00", "UTC"],
    ["2014-06-03T12:00:00Z", "Europe/Berlin", "2014-06-03 14:00", "UTC+2"],
    ["2014-01-03T12:00:00Z", "Europe/Berlin", "2014-01-03 13:00", "UTC+1"],
    ["2014-03-30T00:59:59Z", "Europe/Berlin", "2014-03-30 01:59", "UTC+1"],
    ["2014-03-30T01:00:00Z", "Europe/Berlin", "2014-03-30 03:00", "UTC+2"],
    ["2014-10-26T00:30:00Z", "Europe/Berlin", "2014-10-26 02:30", "UTC+2"],
    ["2014-10-26T01:30:00Z", "Europe/Berlin", "2014-10-26 02:30", "UTC+1"],
    ["2014-12-31T23:30:00Z", "Asia/Kathmandu", "2015-01-01 05:15", "UTC+5:45"],
    ["2014-06-03T12:00:00Z", "America/St_Johns", "2014-06-03 09:30", "UTC−2:30"],
    ["1969-12-31T23:59:00Z", "America/New_York", "1969-12-31 18:59", "UTC−5"],
    ["9999-12-31T23:59:00Z", "UTC", "9999-12-31 23:59", "UTC"],
  ]) {
    const text = `${zone.dateText(at(moment), name)} ${zone.timeText(at(moment), name)}`;
    assert.deepEqual([text, zone.offsetText(at(moment), name)], [shown, offset], `${moment} ${name}`);
  }
});

test("a date and a time mean a moment there", () => {
  for (const [date, time, name, moment] of [
    ["2014-06-03", "14:00", "Europe/Berlin", "2014-06-03T12:00:00Z"],
    ["2014-01-03", "", "America/New_York", "2014-01-03T05:00:00Z"],
    ["2014-06-03", "9:05:07", "UTC", "2014-06-03T09:05:07Z"],
    ["2014-06-03T00:00:00", "23:59:59", "UTC", "2014-06-03T23:59:59Z"],
    ["2014-10-26", "02:30", "Europe/Berlin", "2014-10-26T00:30:00Z"], // shown twice: the first time
    ["2014-03-30", "02:30", "Europe/Berlin", "2014-03-30T01:30:00Z"], // never shown: 03:30
    ["2011-12-30", "12:00", "Pacific/Apia", "2011-12-30T22:00:00Z"], // a whole day never shown
  ]) {
    assert.equal(iso(zone.momentOf(date, time, name)), moment, `${date} ${time} ${name}`);
  }
  for (const [date, time] of [["", "10:00"], ["2014-06-03", "9 am"], ["2014-06-03", "25:00"], ["2014-13-01", ""], [null, null]]) {
    assert.equal(zone.momentOf(date, time, "Europe/Berlin"), null);
  }
});

test("every hour of a year comes back from what clocks show, but for the one they show twice", () => {
  for (const name of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]) {
    let twice = 0;
    for (let moment_ms = at("2014-01-01T00:00:00Z"); moment_ms < at("2015-01-01T00:00:00Z"); moment_ms += 3_600_000) {
      const back = zone.momentOfWall(zone.wall_ms(moment_ms, name), name);
      if (back === moment_ms) continue;
      twice += 1;
      assert.ok(back < moment_ms && moment_ms - back <= 3_600_000, `${name} ${iso(moment_ms)}`);
    }
    assert.ok(twice <= 1, `${name}: ${twice}`);
  }
});

test("milliseconds and moments before 1970 stay exact", () => {
  assert.equal(zone.wall_ms(at("1960-07-01T00:00:00.250Z"), "Europe/Paris"), at("1960-07-01T01:00:00.250Z"));
});

test("a span names the zone once, and the date of its end only where that is another", () => {
  const span = (from, to, name) => zone.spanText(at(from), at(to), name);
  assert.equal(span("2014-06-03T09:00:00Z", "2014-06-03T10:00:00Z", "UTC"), "2014-06-03 09:00 – 10:00 UTC");
  assert.equal(
    span("2014-06-03T21:30:00Z", "2014-06-03T22:30:00Z", "Europe/Berlin"),
    "2014-06-03 23:30 – 06-04 00:30 Berlin",
  );
  assert.equal(
    span("2014-12-31T00:00:00Z", "2015-01-01T00:00:00Z", "America/New_York"),
    "2014-12-30 19:00 – 12-31 19:00 New York",
  );
});

test("a zone that does not exist is none, and one of many names for UTC is UTC", () => {
  assert.equal(zone.tidy("Mars/Olympus"), null);
  assert.equal(zone.tidy('"><img src=x onerror=alert(1)>'), null);
  assert.equal(zone.tidy(""), null);
  assert.equal(zone.tidy("europe/berlin"), "Europe/Berlin");
  for (const name of ["UTC", "Etc/UTC", "gmt"]) assert.equal(zone.tidy(name), "UTC");
  assert.equal(zone.all()[0], "UTC");
  assert.ok(zone.all().includes("America/New_York"));
});
