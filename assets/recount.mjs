// Candles of a variant, kept up to date: the stream tells of all texts, so what it says has changed is asked for anew. A
// text may make another one a reprint that came up to a day later, so a day after it is asked for too.

import { at } from "./address.mjs";

const REPRINT_MS = 86_400_000;
// What changes within this time is asked for together.
const MERGE_MS = 250;
const RETRY_MS = 2_000;

/** The stretches that buckets of the stream make uncertain, ticker -> [start_ms, end_ms], added to those there are. */
export function spreadOf(rows, widthOf, held = new Map()) {
  const finest_ms = Math.min(...rows.map((row) => widthOf(row.resolution)));
  for (const row of rows) {
    // Each text is told of once for each resolution that is watched; the finest says best when it was.
    if (widthOf(row.resolution) !== finest_ms) continue;
    const start_ms = Date.parse(row.timestamp);
    const [first_ms, last_ms] = held.get(row.ticker) ?? [Infinity, -Infinity];
    held.set(row.ticker, [Math.min(first_ms, start_ms), Math.max(last_ms, start_ms + finest_ms + REPRINT_MS)]);
  }
  return held;
}

/** The address that asks for whole buckets over a stretch. */
export function addressOf(tickers, resolution, width_ms, [start_ms, end_ms], { scorer, variant }) {
  const first_ms = Math.floor(start_ms / width_ms) * width_ms;
  const stop_ms = Math.ceil(end_ms / width_ms) * width_ms;
  const [start, end] = [first_ms, stop_ms].map((each_ms) => new Date(each_ms).toISOString().replace(".000Z", "Z"));
  const asked = { tickers: tickers.join(","), resolution, start, end, format: "columns", variant };
  if (scorer) asked.scorer = scorer;
  return { address: at(`/api/v2/timeseries?${new URLSearchParams(asked)}`), first_ms, stop_ms };
}

export class Recount {
  #cache;
  #told;
  #fetch;
  #spread = new Map();
  #watched = [];
  #timer = null;
  #isAsking = false;

  /** `told` hears {tickers} when candles were counted anew. */
  constructor(cache, told, fetcher = (address) => fetch(address)) {
    this.#cache = cache;
    this.#told = told;
    this.#fetch = fetcher;
  }

  /** Buckets of the stream; `watched` are the resolutions that are kept up to date. */
  put(rows, watched) {
    this.#watched = watched;
    spreadOf(rows, (name) => this.#cache.widthOf(name), this.#spread);
    for (const [ticker, span] of this.#spread) this.#cache.disturb(ticker, span, watched);
    this.#later(MERGE_MS);
  }

  #later(after_ms) {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#ask();
    }, after_ms);
  }

  async #ask() {
    if (this.#isAsking || !this.#spread.size) return; // what runs looks again when it is done
    this.#isAsking = true;
    const spread = this.#spread;
    this.#spread = new Map();
    try {
      for (const resolution of this.#watched) await this.#count(spread, resolution);
      if (this.#spread.size) this.#later(MERGE_MS);
    } catch {
      // The server cannot be had: the same is asked for again, with what comes until then.
      for (const [ticker, [start_ms, end_ms]] of spread) {
        const [first_ms, last_ms] = this.#spread.get(ticker) ?? [start_ms, end_ms];
        this.#spread.set(ticker, [Math.min(first_ms, start_ms), Math.max(last_ms, end_ms)]);
      }
      this.#later(RETRY_MS);
    } finally {
      this.#isAsking = false;
    }
  }

  async #count(spread, resolution) {
    const { choice } = this.#cache;
    const tickers = [...spread.keys()];
    const span = [...spread.values()].reduce(([a, b], [c, d]) => [Math.min(a, c), Math.max(b, d)]);
    const width_ms = this.#cache.widthOf(resolution);
    const { address, first_ms, stop_ms } = addressOf(tickers, resolution, width_ms, span, choice);
    const answer = await this.#fetch(address);
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const { series, revision } = await answer.json();
    if (choice !== this.#cache.choice) return; // something else is counted by now
    for (const columns of series) this.#cache.patch(columns.ticker, resolution, [first_ms, stop_ms], columns, revision);
    this.#told({ tickers });
  }
}
