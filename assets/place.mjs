// Which candle's texts are open, and in which order they are read: the part of the address that moves on with every
// candle, so it replaces the address instead of adding to the history. Pure.

import { ORDERS } from "./effect.mjs";

const NAMES = ORDERS.map(([name]) => name);
const CANDLE = /^([^@]{1,40})@(.+)$/;

/** What an address says is open: {ticker, start_ms, order}, or null. */
export function parse(search) {
  const asked = new URLSearchParams(search);
  const [, ticker, start] = CANDLE.exec(asked.get("candle") ?? "") ?? [];
  const start_ms = Date.parse(start);
  if (!ticker || Number.isNaN(start_ms)) return null;
  const order = NAMES.includes(asked.get("sort")) ? asked.get("sort") : NAMES[0];
  return { ticker: ticker.toUpperCase(), start_ms, order };
}

/** An address with what is open, in place of what it said before. */
export function format(search, open) {
  const kept = search.replace(/^\?/, "").split("&").filter((part) => part && !/^(candle|sort)=/.test(part));
  if (open) {
    const start = new Date(open.start_ms).toISOString().replace(".000Z", "Z");
    kept.push(`candle=${encodeURIComponent(open.ticker)}@${start}`);
    if (open.order !== NAMES[0]) kept.push(`sort=${open.order}`);
  }
  return `?${kept.join("&")}`;
}
