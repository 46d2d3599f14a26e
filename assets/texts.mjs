// The texts of candles, asked of the server: those of one candle at a time, abandoned when another is asked for, and kept
// for a while so that going back is instant.

import { at } from "./address.mjs";

const PAGE = 1_000;
// Beyond this nobody reads, and the order is by what was loaded: the newest.
export const MOST_TEXTS = 5_000;
const KEPT = 40;

export class Texts {
  #kept = new Map();
  #abort = null;

  /** The texts of a candle, newest first; null when another was asked for meanwhile. Raises what went wrong. */
  async of(ticker, start_ms, end_ms, count, choice = {}) {
    this.#abort?.abort();
    const key = [ticker, start_ms, end_ms, choice.scorer, choice.variant].join(" ");
    const held = this.#kept.get(key);
    if (held && held.count === count) return held.items;
    const abort = (this.#abort = new AbortController());
    try {
      const items = await fetchAll(ticker, start_ms, end_ms, choice, abort.signal);
      this.#keep(key, { items, count });
      return items;
    } catch (error) {
      if (abort.signal.aborted) return null;
      throw error;
    }
  }

  abandon() {
    this.#abort?.abort();
  }

  #keep(key, entry) {
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value);
  }
}

async function fetchAll(ticker, start_ms, end_ms, { scorer, variant }, signal) {
  const [start, end] = [start_ms, end_ms].map((moment_ms) => new Date(moment_ms).toISOString());
  const items = [];
  for (let cursor = null; ; ) {
    const asked = new URLSearchParams({ ticker, start, end, limit: PAGE });
    for (const [name, value] of Object.entries({ scorer, variant, cursor })) if (value) asked.set(name, value);
    const answer = await fetch(at(`/api/v2/items?${asked}`), { signal, headers: { Accept: "application/json" } });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.message ?? `The server answered ${answer.status}.`);
    items.push(...told.items);
    cursor = told.next_cursor;
    if (!cursor || items.length >= MOST_TEXTS) return items;
  }
}
