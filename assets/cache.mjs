// The browser's cache of candles: a Map of chunks over the shelf (IndexedDB). What is here may be drawn at once; what is
// `old` may have changed since, and is asked for again behind the picture. An item that comes late makes old just the
// chunks whose time it falls into.

import * as chunks from "./chunks.mjs";

// Chunks in memory: two hundred of 480 candles are about 50 MB.
const MOST_CHUNKS = 400;
// Buckets of the stream are held so long for answers that were made before them and come after them.
const RECENT_MS = 20_000;
const MOST_RECENT = 4_000;
const MOST_PATCHES = 200;

export class Cache {
  #shelf;
  #about;
  #widths;
  #chunks = new Map();
  #unsaved = new Set();
  #recent = new Map();
  #patches = [];
  #choice = { scorer: undefined, variant: undefined };
  #now_ms;
  /** From when on a variant can be told, where older texts are not kept; null when they all are. */
  complete_ms = null;

  /** `about` is {store, form}: whose data these are, and in which form; chunks of another one are never read. */
  constructor(shelf, about, table, now_ms = () => Date.now()) {
    this.#shelf = shelf;
    this.#about = about;
    this.#widths = new Map(table.resolutions.map(({ name, width_ms }) => [name, width_ms]));
    this.#now_ms = now_ms;
  }

  widthOf(resolution) {
    return this.#widths.get(resolution);
  }

  /** Which scorer's buckets these are; with another one nothing that was held counts. */
  set scorer(name) {
    this.#choose({ ...this.#choice, scorer: name });
  }

  get scorer() {
    return this.#choice.scorer;
  }

  /** Which texts count; undefined for all. */
  set variant(name) {
    if (name !== this.#choice.variant) this.#choose({ ...this.#choice, variant: name });
  }

  get variant() {
    return this.#choice.variant;
  }

  /** {scorer, variant}: another object whenever one of them changes, so that late answers are known for what they are. */
  get choice() {
    return this.#choice;
  }

  #choose(choice) {
    this.#choice = choice;
    this.#recent.clear();
    this.#patches = [];
  }

  keyOf(ticker, resolution, index) {
    const { store, form } = this.#about;
    const { scorer, variant } = this.#choice;
    return [form, store, scorer, ...(variant ? [variant] : []), ticker, resolution, index].join("|");
  }

  /** The chunk in memory, or undefined. */
  get(ticker, resolution, index) {
    const key = this.keyOf(ticker, resolution, index);
    const chunk = this.#chunks.get(key);
    if (chunk) {
      // The Map's order is that of use.
      this.#chunks.delete(key);
      this.#chunks.set(key, chunk);
    }
    return chunk;
  }

  /** Brings chunks from the shelf to memory: [ticker, resolution, index] each. How many came. */
  async fetch(places) {
    const missing = places.filter((place) => !this.#chunks.has(this.keyOf(...place)));
    if (!missing.length) return 0;
    const found = await this.#shelf.chunks(missing.map((place) => this.keyOf(...place)));
    for (const [key, chunk] of found) {
      if (!this.#chunks.has(key)) this.#hold(key, { ...chunk, isOld: true, stamp: chunks.stamp() });
    }
    return found.size;
  }

  /** An answer of the server for one chunk; buckets that the stream brought meanwhile are put into it. */
  take(ticker, resolution, index, columns, revision, etag) {
    const width_ms = this.#widths.get(resolution);
    const chunk = { ...chunks.fromColumns(columns, width_ms, revision), etag, isOld: false };
    for (const { row } of this.#recent.values()) {
      const isMeant = row.ticker === ticker && row.resolution === resolution;
      if (isMeant && chunks.indexOf(Date.parse(row.timestamp), width_ms) === index) chunks.put(chunk, row, width_ms);
    }
    for (const patch of this.#patches) {
      const isMeant = patch.ticker === ticker && patch.resolution === resolution && patch.revision > revision;
      if (isMeant) chunks.replace(chunk, index, patch.span, patch.columns, width_ms);
    }
    const key = this.keyOf(ticker, resolution, index);
    this.#hold(key, chunk);
    this.#unsaved.add(key);
  }

  /** All candles of a stretch, counted anew, in place of those the chunks in memory hold of it. */
  patch(ticker, resolution, span, columns, revision) {
    const width_ms = this.#widths.get(resolution);
    const came_ms = this.#now_ms();
    this.#patches = this.#patches.filter((each) => came_ms - each.came_ms < RECENT_MS).slice(1 - MOST_PATCHES);
    this.#patches.push({ ticker, resolution, span, columns, revision, came_ms });
    for (const index of chunks.within(...span, width_ms)) {
      const key = this.keyOf(ticker, resolution, index);
      const chunk = this.#chunks.get(key);
      if (chunk && chunks.replace(chunk, index, span, columns, width_ms)) this.#unsaved.add(key);
    }
  }

  /** Candles of a stretch may have changed: chunks of resolutions that nobody keeps up to date (`watched` are) are old. */
  disturb(ticker, span, watched) {
    for (const [resolution, width_ms] of this.#widths) {
      if (watched.includes(resolution)) continue;
      for (const index of chunks.within(...span, width_ms)) {
        const chunk = this.#chunks.get(this.keyOf(ticker, resolution, index));
        if (chunk) chunk.isOld = true;
      }
    }
  }

  /** The server says that a chunk with this tag is still what it would answer. */
  confirm(ticker, resolution, index, revision) {
    const chunk = this.get(ticker, resolution, index);
    if (chunk) Object.assign(chunk, { isOld: false, revision: Math.max(chunk.revision, revision) });
  }

  /**
   * A bucket of the stream goes into its chunk, and chunks of resolutions that are not watched (`watched` are) become
   * old where it lies in their time. Says whether a chunk in memory changed.
   */
  put(row, watched) {
    this.#remember(row);
    const start_ms = Date.parse(row.timestamp);
    const width_ms = this.#widths.get(row.resolution);
    let hasChanged = false;
    for (const [resolution, each_ms] of this.#widths) {
      for (const index of chunks.within(start_ms, start_ms + width_ms, each_ms)) {
        const key = this.keyOf(row.ticker, resolution, index);
        const chunk = this.#chunks.get(key);
        if (!chunk) continue;
        if (resolution === row.resolution) {
          if (chunks.put(chunk, row, width_ms) < 0) continue;
          hasChanged = true;
          this.#unsaved.add(key);
        } else if (!watched.includes(resolution) && chunk.revision < row.revision) chunk.isOld = true;
      }
    }
    return hasChanged;
  }

  /** Chunks in memory may have changed, all or those of a ticker: nobody told of changes meanwhile. */
  age(ticker = null) {
    for (const [key, chunk] of this.#chunks) if (ticker === null || key.includes(`|${ticker}|`)) chunk.isOld = true;
  }

  /** Lets go of what memory holds of a resolution. */
  forget(resolution) {
    for (const key of this.#chunks.keys()) if (key.includes(`|${resolution}|`)) this.#chunks.delete(key);
  }

  /** Writes what is new to the shelf. */
  async save() {
    const entries = [...this.#unsaved].filter((key) => this.#chunks.has(key)).map((key) => [key, this.#chunks.get(key)]);
    this.#unsaved.clear();
    if (entries.length) await this.#shelf.keep(entries);
  }

  #hold(key, chunk) {
    this.#chunks.delete(key);
    this.#chunks.set(key, chunk);
    for (const oldest of this.#chunks.keys()) {
      if (this.#chunks.size <= MOST_CHUNKS) break;
      if (this.#unsaved.has(oldest)) void this.save();
      this.#chunks.delete(oldest);
    }
  }

  #remember(row) {
    const key = `${row.ticker} ${row.resolution} ${row.timestamp}`;
    const held = this.#recent.get(key);
    if (held && held.row.count >= row.count) return;
    this.#recent.delete(key);
    this.#recent.set(key, { row, came_ms: this.#now_ms() });
    for (const [oldest, { came_ms }] of this.#recent) {
      if (this.#recent.size <= MOST_RECENT && this.#now_ms() - came_ms < RECENT_MS) break;
      this.#recent.delete(oldest);
    }
  }
}
