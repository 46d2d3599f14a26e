// Chunks: the candles of one ticker at one resolution in one stretch of time, as arrays that charts draw from. A series
// is cut at the same moments for everybody, so that whoever scrolls meets the chunks of those who scrolled before. Pure.

import * as candles from "./candles.mjs";

// Intervals in a chunk: about a screen and a half. Fewer make more requests, more make each one slower.
export const INTERVALS = 480;

export const COLUMNS = ["x", "open", "high", "low", "close", "custom"];
const SCORES = ["open", "high", "low", "close"];
const COUNT = 1; // in the custom data of a candle

/** The number of the chunk that holds a moment, counted from 1970. */
export function indexOf(moment_ms, width_ms) {
  return Math.floor(moment_ms / (INTERVALS * width_ms)) || 0;
}

/** From and including, up to and without. */
export function spanOf(index, width_ms) {
  return [index * INTERVALS * width_ms, (index + 1) * INTERVALS * width_ms];
}

/** The numbers of all chunks that [start_ms, end_ms) touches. */
export function within(start_ms, end_ms, width_ms) {
  if (start_ms >= end_ms) return [];
  const first = indexOf(start_ms, width_ms);
  const last = indexOf(end_ms - 1, width_ms);
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

let stamps = 0;

/** Another number whenever a chunk changes, over all chunks of the page: what has the same stamps looks the same. */
export function stamp() {
  stamps += 1;
  return stamps;
}

/** A chunk of what the API answers as columns; `revision` is the store's version that the answer is of. */
export function fromColumns(columns, width_ms, revision) {
  const custom = columns.start_ms.map((start_ms, at) => [
    columns.avg[at],
    columns.count[at],
    columns.positive[at],
    columns.neutral[at],
    columns.negative[at],
    candles.sourcesText(columns.source_sets[columns.sources[at]]),
    candles.intervalText(start_ms, width_ms),
  ]);
  const { start_ms, open, high, low, close } = columns;
  return { x: start_ms, open, high, low, close, custom, revision, stamp: stamp() };
}

/**
 * Puts a bucket of the stream in its place. Returns where, or -1 when the chunk holds it already: buckets only ever
 * grow, so the one that counts more is the newer.
 */
export function put(chunk, row, width_ms) {
  const start_ms = Date.parse(row.timestamp);
  const at = placeOf(chunk.x, start_ms);
  const isHeld = chunk.x[at] === start_ms;
  if (isHeld && chunk.custom[at][COUNT] >= row.count) return -1;
  const { positive, neutral, negative } = row.label_counts;
  const sources = candles.sourcesText(row.sources);
  const interval = candles.intervalText(start_ms, width_ms);
  const replaced = isHeld ? 1 : 0;
  chunk.x.splice(at, replaced, start_ms);
  for (const name of SCORES) chunk[name].splice(at, replaced, row[name]);
  chunk.stamp = stamp();
  chunk.custom.splice(at, replaced, [row.avg, row.count, positive, neutral, negative, sources, interval]);
  return at;
}

/**
 * Puts candles that were counted anew, as the API answers them, in the place of all that a chunk holds of a stretch of
 * time. Says whether any was another one; those that are the same stay the same arrays.
 */
export function replace(chunk, index, [start_ms, end_ms], columns, width_ms) {
  const [from_ms, to_ms] = spanOf(index, width_ms);
  const [low_ms, high_ms] = [Math.max(start_ms, from_ms), Math.min(end_ms, to_ms)];
  const made = fromColumns(columns, width_ms, 0);
  const [first, stop] = [placeOf(chunk.x, low_ms), placeOf(chunk.x, high_ms)];
  const [begin, end] = [placeOf(made.x, low_ms), placeOf(made.x, high_ms)];
  let isSame = stop - first === end - begin;
  for (let at = begin; at < end; at += 1) {
    const held = placeOf(chunk.x, made.x[at]);
    const isHeld = chunk.x[held] === made.x[at] && SCORES.every((name) => chunk[name][held] === made[name][at]);
    if (isHeld && chunk.custom[held].every((each, nth) => each === made.custom[at][nth])) made.custom[at] = chunk.custom[held];
    else isSame = false;
  }
  if (isSame) return false;
  for (const name of COLUMNS) chunk[name].splice(first, stop - first, ...made[name].slice(begin, end));
  chunk.stamp = stamp();
  return true;
}

/** The candles of consecutive chunks that start in [start_ms, end_ms), as new arrays. */
export function joined(parts, start_ms, end_ms) {
  const made = Object.fromEntries(COLUMNS.map((name) => [name, []]));
  for (const chunk of parts) {
    const [first, stop] = [placeOf(chunk.x, start_ms), placeOf(chunk.x, end_ms)];
    const isWhole = first === 0 && stop === chunk.x.length;
    for (const name of COLUMNS) made[name].push(isWhole ? chunk[name] : chunk[name].slice(first, stop));
  }
  for (const name of COLUMNS) made[name] = [].concat(...made[name]);
  return made;
}

/** Where in ascending numbers one stands, or would. */
export function placeOf(numbers, number) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
