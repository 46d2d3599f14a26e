// How a view is arranged: which ticker is in focus, which watchlist its tickers are, on whose clocks times are told. Part
// of a view and of its address, but nothing the server has to know. Pure. What is as usual is left out of both.

import { tidyName } from "./watchlist.mjs";
import { tidy } from "./zone.mjs";

/** What an address says of the arrangement; its tickers have been read already. */
export function parse(asked) {
  const arranged = {};
  const focus = asked.get("focus")?.trim().toUpperCase();
  if (focus) arranged.focus = focus;
  const list = tidyName(asked.get("list"));
  if (list) arranged.list = list;
  const zone = tidy(asked.get("tz"));
  if (zone) arranged.zone = zone;
  return arranged;
}

/** The parts of an address that say how a view is arranged. */
export function format(view) {
  const encode = (text) => encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2F", "/");
  const parts = [];
  if (focusOf(view)) parts.push(`focus=${encode(view.focus)}`);
  if (view.list) parts.push(`list=${encode(view.list)}`);
  if (view.zone) parts.push(`tz=${encode(view.zone)}`);
  return parts;
}

/** The ticker in focus; null when there is none. */
export function focusOf(view) {
  return view.focus && view.tickers.length > 1 && view.tickers.includes(view.focus) ? view.focus : null;
}

/** The class of the grid for so many charts. */
export function gridOf(charts) {
  if (charts <= 4) return `grid-${charts}`;
  return charts <= 9 ? "grid-some" : "grid-many";
}

/** The action of a button that arranges, from its data attributes; null when it is none. */
export function fromButton({ dataset }) {
  if (dataset.action === "focus") return { kind: "focus", ticker: dataset.ticker };
  return null;
}

/** The view after an action that arranges. */
export function apply(held, action) {
  switch (action.kind) {
    case "focus":
      return changed(held, "focus", focusOf(held) === action.ticker ? undefined : action.ticker);
    case "move":
      return { ...held, tickers: moved(held.tickers, action.ticker, action.to) };
    case "list":
      return changed({ ...held, tickers: [...action.tickers] }, "list", action.name);
    case "zone":
      return changed(held, "zone", action.zone);
    default:
      return held;
  }
}

/** The tickers with one of them moved to another place. */
export function moved(tickers, ticker, to) {
  if (!tickers.includes(ticker)) return tickers;
  const rest = tickers.filter((each) => each !== ticker);
  return rest.toSpliced(Math.max(0, Math.min(rest.length, to)), 0, ticker);
}

function changed(view, name, value) {
  const rest = { ...view };
  delete rest[name];
  return value ? { ...rest, [name]: value } : rest;
}
