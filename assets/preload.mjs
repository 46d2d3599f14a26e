// Asks the server for chunks: those on screen at once, those that may be wanted next in their order, within a bandwidth;
// what nobody wants any more is abandoned.

import { at } from "./address.mjs";
import * as chunks from "./chunks.mjs";

const URGENT_AT_ONCE = 4; // a browser opens six connections to a server, and the stream takes one
const SPARE_AT_ONCE = 1;
// What is loaded only in case it is wanted may take this much, and so much in one go.
const SPARE_BYTES_PER_S = 1_000_000;
const SPARE_BURST_BYTES = 6_000_000;
const RETRY_MS = 1_000;
const LAST_RETRY_MS = 8_000;

/** `wanted` are {ticker, resolution, index, isUrgent}, the first first. Those of one chunk of time go in one request. */
export function requestsOf(wanted) {
  const requests = new Map();
  for (const { ticker, resolution, index, isUrgent } of wanted) {
    const key = `${resolution} ${index} ${isUrgent}`;
    const held = requests.get(key);
    if (held) held.tickers.add(ticker);
    else requests.set(key, { resolution, index, isUrgent, tickers: new Set([ticker]) });
  }
  return [...requests.values()].map((each) => ({ ...each, tickers: [...each.tickers] }));
}

/** The address of the chunk of several tickers. Equal chunks have equal addresses, so the browser knows their tags. */
export function addressOf({ tickers, resolution, index }, width_ms, { scorer, variant }) {
  const [start, end] = chunks.spanOf(index, width_ms).map((each_ms) => new Date(each_ms).toISOString().replace(".000Z", "Z"));
  const asked = { tickers: tickers.join(","), resolution, start, end, limit: chunks.INTERVALS, format: "columns" };
  if (scorer) asked.scorer = scorer;
  if (variant) asked.variant = variant;
  return at(`/api/v2/timeseries?${new URLSearchParams(asked)}`);
}

export class Loader {
  #cache;
  #told;
  #fetch;
  #wanted = [];
  #running = new Map();
  #budget_bytes = SPARE_BURST_BYTES;
  #budget_at_ms = Date.now();
  #failures = 0;
  #timer = null;

  /** `told` hears {tickers, resolution, index, revision} when chunks came, {error} when the server cannot be had. */
  constructor(cache, told, fetcher = (address, options) => fetch(address, options)) {
    this.#cache = cache;
    this.#told = told;
    this.#fetch = fetcher;
  }

  /** Whether the last request failed for want of a server. */
  get isCutOff() {
    return this.#failures > 0;
  }

  /** What is wanted from now on, most urgent first; whatever runs and is not among it is abandoned. */
  want(wanted) {
    this.#wanted = wanted;
    const keys = new Set(wanted.map(keyOf));
    for (const running of this.#running.values()) {
      const isWanted = running.tickers.some((ticker) => keys.has(keyOf({ ...running, ticker })));
      if (!isWanted) running.abort.abort();
    }
    this.#next();
  }

  /** Tries again at once, where a failure made it wait. */
  again() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#next();
  }

  #next() {
    if (this.#timer !== null && this.#failures) return;
    const running = [...this.#running.values()];
    const asked = new Set(running.flatMap((each) => each.tickers.map((ticker) => keyOf({ ...each, ticker }))));
    const open = this.#wanted.filter((each) => !asked.has(keyOf(each)));
    for (const request of requestsOf(open)) {
      const most = request.isUrgent ? URGENT_AT_ONCE : SPARE_AT_ONCE;
      if (this.#running.size >= most) continue;
      if (!request.isUrgent && (this.#allowed() <= 0 || globalThis.navigator?.connection?.saveData)) continue;
      void this.#run(request);
    }
  }

  async #run(request) {
    const key = `${request.resolution} ${request.index} ${request.tickers.join()}`;
    const abort = new AbortController();
    this.#running.set(key, { ...request, abort });
    try {
      await this.#ask(request, abort.signal);
      this.#failures = 0;
    } catch (error) {
      if (!abort.signal.aborted) this.#fail(error);
    } finally {
      this.#running.delete(key);
      this.#next();
    }
  }

  async #ask(request, signal) {
    const { tickers, resolution, index } = request;
    const width_ms = this.#cache.widthOf(resolution);
    const { choice } = this.#cache;
    const answer = await this.#fetch(addressOf(request, width_ms, choice), { signal });
    if (answer.status >= 500) throw new Error(`the server answers ${answer.status}`);
    if (choice !== this.#cache.choice) {
      await answer.text();
      return; // it is of what was counted before
    }
    const held = tickers.map((ticker) => this.#cache.get(ticker, resolution, index));
    const etag = answer.headers.get("ETag");
    const revision = Number(answer.headers.get("Tickertone-Revision"));
    if (answer.ok && etag && held.every((chunk) => chunk?.etag === etag)) {
      await answer.text(); // a browser calls what is not read a failure
      for (const ticker of tickers) this.#cache.confirm(ticker, resolution, index, revision);
      this.#done(request, { isNew: false, revision });
      return;
    }
    const text = await answer.text();
    if (signal.aborted || choice !== this.#cache.choice) return;
    this.#budget_bytes = this.#allowed() - (request.isUrgent ? 0 : text.length / 4); // it came packed
    if (!answer.ok) {
      this.#done(request, { isNew: false, refusal: JSON.parse(text) });
      return;
    }
    const { series, complete_from } = JSON.parse(text);
    this.#cache.complete_ms = complete_from ? Date.parse(complete_from) : null;
    for (const columns of series) {
      this.#cache.take(columns.ticker, resolution, index, columns, revision, etag);
    }
    this.#done(request, { isNew: true, revision });
  }

  #done(request, news) {
    const { tickers, resolution, index } = request;
    const keys = new Set(tickers.map((ticker) => keyOf({ ticker, resolution, index })));
    this.#wanted = this.#wanted.filter((each) => !keys.has(keyOf(each)));
    this.#told({ tickers, resolution, index, ...news });
  }

  #fail(error) {
    const wait_ms = Math.min(LAST_RETRY_MS, RETRY_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#next();
    }, wait_ms);
    this.#told({ error });
  }

  /** Bytes that may be spent on what is not urgent. */
  #allowed() {
    const now_ms = Date.now();
    const earned = ((now_ms - this.#budget_at_ms) / 1000) * SPARE_BYTES_PER_S;
    this.#budget_bytes = Math.min(SPARE_BURST_BYTES, this.#budget_bytes + earned);
    this.#budget_at_ms = now_ms;
    return this.#budget_bytes;
  }
}

function keyOf({ ticker, resolution, index }) {
  return `${ticker} ${resolution} ${index}`;
}
