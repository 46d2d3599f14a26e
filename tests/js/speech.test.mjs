// Candles in words.

import assert from "node:assert/strict";
import { test } from "node:test";

import { speechOf } from "../../assets/speech.mjs";

const start = Date.parse("2014-06-03T22:00:00Z");
const figure = {
  data: [
    {
      x: [start, start + 3_600_000],
      open: [0.1, 0.25],
      high: [0.8, 0.25],
      low: [-0.9, 0.25],
      close: [-0.1, 0.25],
      customdata: [
        [-0.034, 12, 4, 5, 3, "wire", ""],
        [0.25, 1, 1, 0, 0, "wire", ""],
      ],
    },
  ],
  layout: { meta: { ticker: "AAPL", resolution: "1h", width_ms: 3_600_000 } },
};

test("a candle is told with its ticker, its time there, its values and its texts", () => {
  assert.equal(
    speechOf(figure, 0, "Europe/Berlin"),
    "AAPL 1h, Wed 4 Jun 2014, 00:00 to 01:00 Berlin. falling, open +0.100, high +0.800, low −0.900, close −0.100. " +
      "Average −0.034 of 12 texts: 4 positive, 5 neutral, 3 negative.",
  );
  assert.match(speechOf(figure, 1, "UTC"), /Tue 3 Jun 2014, 23:00 to 00:00 UTC\. unchanged, .* of 1 text: 1 positive/);
});
