// A candle in words, for those who hear the page. Pure.

import { signed } from "./chart.mjs";
import { dayText, timeText, cityOf } from "./zone.mjs";

/** The candle at a place of a figure's data, as a sentence or two. */
export function speechOf(figure, at, zone) {
  const candles = figure.data[0];
  const { ticker, resolution, width_ms } = figure.layout.meta;
  const [start_ms, end_ms] = [candles.x[at], candles.x[at] + width_ms];
  const [avg, count, positive, neutral, negative] = candles.customdata[at];
  const when = `${dayText(start_ms, zone)}, ${timeText(start_ms, zone)} to ${timeText(end_ms, zone)} ${cityOf(zone)}`;
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => candles[name][at]);
  const way = close > open ? "rising" : close < open ? "falling" : "unchanged";
  const texts = `${count} ${count === 1 ? "text" : "texts"}`;
  const said = [
    `${ticker} ${resolution}, ${when}.`,
    `${way}, open ${signed(open)}, high ${signed(high)}, low ${signed(low)}, close ${signed(close)}.`,
    `Average ${signed(avg)} of ${texts}: ${positive} positive, ${neutral} neutral, ${negative} negative.`,
  ];
  return said.join(" ");
}
