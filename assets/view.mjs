// The view (tickers, resolution, range): from and to the address bar, and how each choice of the user changes it. Pure.
//
// A view is {tickers, resolution, range, start, end}; `range` is the name of a preset, or "custom" with start and end in
// ISO-8601 and UTC. `table` is what layout.table() in Python sends with the page, `known` the rows [ticker, count,
// first_ms, last_ms] of what the store holds. How the charts are arranged is arrangement.mjs.

import * as arrangement from "./arrangement.mjs";
import * as choice from "./choice.mjs";

const CUSTOM = "custom";
// The years 1 to 9999, as in model/time.py.
const MIN_MS = -62_135_596_800_000;
const MAX_MS = 253_402_300_799_999;
// Any other way to write a moment is for the server to judge.
const STRICT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z$/;

/** The view an address names; what is missing gets its default, what is wrong is kept for the server to explain. */
export function parse(search, table, known) {
  const asked = new URLSearchParams(search);
  const named = asked.get("tickers");
  const view = {
    tickers: named === null ? mostScored(table, known) : clean(named.split(","), table),
    resolution: asked.get("resolution") || table.default_resolution,
    range: asked.get("range") || table.default_preset,
    start: null,
    end: null,
    ...arrangement.parse(asked),
    ...choice.parse(asked, table),
  };
  const [start, end] = [asked.get("start"), asked.get("end")];
  if (!start && !end) return view;
  return { ...view, range: CUSTOM, ...completed(start, end, view.resolution, table) };
}

/** The address of a view, as the search part of a URL. */
export function format(view) {
  const encode = (text) => encodeURIComponent(text).replaceAll("%3A", ":");
  const parts = [`tickers=${view.tickers.map(encode).join(",")}`, `resolution=${encode(view.resolution)}`];
  if (view.range === CUSTOM) parts.push(`start=${encode(view.start)}`, `end=${encode(view.end)}`);
  else parts.push(`range=${encode(view.range)}`);
  return `?${[...parts, ...arrangement.format(view), ...choice.format(view)].join("&")}`;
}

export function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

export function withTickers(view, tickers, table) {
  return { ...view, tickers: clean(tickers ?? [], table) };
}

export function without(view, ticker) {
  return { ...view, tickers: view.tickers.filter((each) => each !== ticker) };
}

/** Another resolution. A range of far too many or too few of its candles becomes one that fills a chart. */
export function withResolution(view, name, table, known) {
  const changed = { ...view, resolution: name };
  const span_ms = spanOf(view, table, known);
  const width_ms = widthOf(name, table);
  if (span_ms === 0 || !width_ms || isComfortable(span_ms / width_ms, table)) return changed;
  if (view.range !== CUSTOM) return { ...changed, range: table.default_preset };
  const end_ms = Date.parse(view.end);
  return withRange(changed, end_ms - table.fit_candles * width_ms, end_ms);
}

/** A range that follows the newest scores; the resolution changes to the nearest at which it can be read. */
export function withPreset(view, name, table, known) {
  const changed = { ...view, range: name, start: null, end: null };
  const span_ms = spanOf(changed, table, known);
  if (span_ms === 0) return changed;
  return { ...changed, resolution: nearestComfortable(span_ms, view.resolution, table) };
}

/** A range offered to the user, who has not chosen a resolution for it. */
export function withOffer(view, start_ms, end_ms, table) {
  const resolution = nearestComfortable(end_ms - start_ms, view.resolution, table);
  return { ...withRange(view, start_ms, end_ms), resolution };
}

export function withRange(view, start_ms, end_ms) {
  return { ...view, range: CUSTOM, start: iso(start_ms), end: iso(end_ms) };
}

/**
 * The time that all charts of a view show, as window_of in Python has it: {start_ms, end_ms}, the buckets of it
 * {first_ms, stop_ms}, and asked_ms, which is earlier than start_ms where the view asks for more than a chart can show.
 * Null for a view that the server has to explain. `newest` may say of tickers when they were last written about.
 */
export function windowOf(view, table, known, now_ms, newest = new Map()) {
  const width_ms = widthOf(view.resolution, table);
  const rows = known.filter((row) => view.tickers.includes(row[0]));
  const first_ms = rows.length ? Math.min(...rows.map((row) => row[2])) : now_ms;
  const last_ms = Math.min(
    now_ms,
    rows.length ? Math.max(...rows.map((row) => Math.max(row[3], newest.get(row[0]) ?? row[3]))) : now_ms,
  );
  if (!width_ms) return null;
  if (view.range === CUSTOM) {
    const [start_ms, end_ms] = [view.start, view.end].map(strictly_ms);
    return start_ms < end_ms ? bounded(start_ms, end_ms, width_ms, last_ms, table) : null;
  }
  const preset = table.presets.find((each) => each.name === view.range);
  if (!preset) return null;
  if (preset.span_ms === null) {
    const start_ms = floor_ms(Math.min(first_ms, last_ms), width_ms);
    return bounded(start_ms, endOf(last_ms, width_ms), width_ms, last_ms, table);
  }
  const span_ms = preset.span_ms || table.fit_candles * width_ms;
  const end_ms = endOf(now_ms - last_ms < span_ms ? now_ms : last_ms, width_ms);
  const fewest_ms = end_ms - table.fewest_fit_candles * width_ms;
  const begun_ms = Math.min(fewest_ms, floor_ms(first_ms, width_ms));
  const start_ms = preset.span_ms ? end_ms - span_ms : Math.max(end_ms - span_ms, begun_ms);
  return bounded(start_ms, end_ms, width_ms, last_ms, table);
}

/** The finest resolution at which all that a window was asked for can be shown. */
export function finestForAll(window, table) {
  const span_ms = window.end_ms - window.asked_ms;
  const fits = table.resolutions.find((each) => span_ms <= table.max_candles * each.width_ms);
  return (fits ?? table.resolutions.at(-1)).name;
}

/** The window of a range, cut at the old end where it is too long for one chart. */
export function bounded(start_ms, end_ms, width_ms, newest_ms, table) {
  let first_ms = Math.max(floor_ms(MIN_MS, width_ms), floor_ms(start_ms, width_ms));
  let stop_ms = Math.min(-floor_ms(-MAX_MS, width_ms), -floor_ms(-end_ms, width_ms));
  const most_ms = table.max_candles * width_ms;
  if (stop_ms - first_ms > most_ms) {
    if (start_ms < newest_ms && newest_ms < end_ms) end_ms = stop_ms = Math.min(stop_ms, endOf(newest_ms, width_ms));
    first_ms = Math.max(first_ms, stop_ms - most_ms);
  }
  return { start_ms: Math.max(start_ms, first_ms), end_ms, first_ms, stop_ms, asked_ms: start_ms };
}

function floor_ms(moment_ms, width_ms) {
  return Math.floor(moment_ms / width_ms) * width_ms || 0; // no -0
}

function endOf(moment_ms, width_ms) {
  return floor_ms(moment_ms, width_ms) + width_ms;
}

function strictly_ms(text) {
  return STRICT.test(text) ? Date.parse(text) : NaN;
}

/** ISO-8601 in UTC with Z, to the second. */
export function iso(moment_ms) {
  return new Date(Math.round(moment_ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** The options of the ticker field: all known ones, and chosen ones that are not. */
export function options(view, known) {
  const names = known.map((row) => row[0]);
  const strangers = view.tickers.filter((ticker) => !names.includes(ticker));
  return [...strangers, ...names].map((ticker) => ({ label: ticker, value: ticker, search: ticker }));
}

/** The tickers of a view that are symbols: an address may name anything, and the stream refuses what cannot be a ticker. */
export function symbols(view, table) {
  const symbol = new RegExp(`^(?:${table.symbol_pattern})$`);
  return view.tickers.filter((ticker) => symbol.test(ticker));
}

function clean(tickers, table) {
  const symbols = tickers.map((ticker) => ticker.trim().replace(/^\$/, "").toUpperCase().slice(0, 40)).filter(Boolean);
  return [...new Set(symbols)].slice(0, table.max_tickers);
}

function mostScored(table, known) {
  const ranked = [...known].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return ranked.slice(0, table.default_tickers).map((row) => row[0]);
}

function completed(start, end, resolution, table) {
  const span_ms = table.fit_candles * (widthOf(resolution, table) ?? 0);
  if (start && end) return { start, end };
  if (start) return { start, end: shifted(start, span_ms) };
  return { start: shifted(end, -span_ms), end };
}

function shifted(text, by_ms) {
  const moment_ms = Date.parse(text);
  return Number.isNaN(moment_ms) ? text : iso(moment_ms + by_ms);
}

function spanOf(view, table, known) {
  if (view.range === CUSTOM) return Date.parse(view.end) - Date.parse(view.start) || 0;
  const preset = table.presets.find((each) => each.name === view.range);
  if (!preset || preset.span_ms !== null) return preset?.span_ms ?? 0;
  const rows = known.filter((row) => view.tickers.includes(row[0]));
  if (!rows.length) return 0;
  return Math.max(...rows.map((row) => row[3])) - Math.min(...rows.map((row) => row[2]));
}

function widthOf(name, table) {
  return table.resolutions.find((each) => each.name === name)?.width_ms;
}

function isComfortable(candles, table) {
  const [fewest, most] = table.comfortable_candles;
  return candles >= fewest && candles <= most;
}

function nearestComfortable(span_ms, name, table) {
  const widths = table.resolutions;
  const held = widths.findIndex((each) => each.name === name);
  const good = [...widths.keys()].filter((index) => isComfortable(span_ms / widths[index].width_ms, table));
  if (good.length) return widths[good.sort((a, b) => Math.abs(a - held) - Math.abs(b - held))[0]].name;
  // Longer than the coarsest can show comfortably, or shorter than the finest.
  const [, most] = table.comfortable_candles;
  return span_ms / widths.at(-1).width_ms > most ? widths.at(-1).name : widths[0].name;
}
