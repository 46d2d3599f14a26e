// The board: draws the view from the browser's own cache. Charts on the screen first; what is missing is asked for, what
// may be wanted next is asked for after it. What only the server can say (no such ticker, no scores there) it is asked.

import * as candles from "./candles.mjs";
import * as chunks from "./chunks.mjs";
import * as clock from "./clock.mjs";
import * as painter from "./painter.mjs";
import { Recount } from "./recount.mjs";
import * as view from "./view.mjs";

// Data beside the window, in windows: a drag goes as far as one, and the next are asked for when it ends. Where few charts
// are looked at, a second drag that follows at once finds its own there, too.
const MARGIN = 1;
const [FEW_CHARTS, LARGE_MARGIN] = [4, 2];
// Where so few are compared, all resolutions are loaded ahead, not just the adjacent ones. About a screenful.
const FEW_TICKERS = 12;
const AHEAD_CHUNKS = 2;
const SAVE_MS = 5_000;
const READOUT_MS = 250;
const LOAD_MS = 100;
// Dash brings cards and charts to the page so soon, or not at all.
const PATIENCE_MS = 4_000;
// Figures that were drawn and may be again, when somebody goes back and forth.
const MOST_FIGURES = 80;

export class Board {
  #page;
  #table;
  #blanks;
  #cache;
  #loader = null;
  #recount;
  #view = null;
  #known = [];
  #window = null;
  // Of each ticker: what its chart shows, so that nothing is drawn twice.
  #drawn = new Map();
  #figures = new Map();
  #newest = new Map();
  // Tickers about which the server was asked, since only it can say something.
  #asked = new Set();
  // When a chart was brought to a card that had none.
  #placed = new Map();
  #until_ms = 0;
  #comes = false;
  #seen = [];
  // Whether the window is where a hand has moved it: nobody wants a note in place of the chart that is being moved.
  #isByHand = false;
  #direction = -1;
  #isPrepared = false;
  #frame = null;
  #changed = new Set();
  #heard = new WeakSet();
  #readouts = new Set();
  #readouts_ms = 0;
  #timers = {};

  /**
   * `page` is what this needs of the page: cardOf, chartOf(ticker), look(), place(ticker, figure), askServer(tickers),
   * isBusy(), told(window), readOut(ticker), drew(chart), ranged(start_ms, end_ms) for a range that the user's hand chose.
   */
  constructor(page, table, blanks, cache) {
    this.#page = page;
    this.#table = table;
    this.#blanks = blanks;
    this.#cache = cache;
    this.#recount = new Recount(cache, (news) => this.arrived(news));
  }

  set loader(loader) {
    this.#loader = loader;
  }

  get window() {
    return this.#window;
  }

  get view() {
    return this.#view;
  }

  get known() {
    return this.#known;
  }

  /** The same with when each was last written about, as far as this page has heard. */
  get knownNow() {
    return this.#known.map((row) => row.with(3, Math.max(row[3], this.#newest.get(row[0]) ?? row[3])));
  }

  set scorer(name) {
    if (!name || name === this.#cache.scorer) return;
    this.#cache.scorer = name;
    if (this.#view) this.#load();
  }

  /** Brings what a view needs from the shelf to memory. */
  async warm(held, known) {
    const window = view.windowOf(held, this.#table, known, clock.now_ms(), this.#newest);
    if (!window) return;
    const width_ms = this.#cache.widthOf(held.resolution);
    const names = new Set(known.map((row) => row[0]));
    const tickers = held.tickers.filter((each) => names.has(each));
    const indexes = chunks.within(window.first_ms, window.stop_ms, width_ms);
    this.#cache.variant = held.variant;
    await this.#cache.fetch(tickers.flatMap((ticker) => indexes.map((index) => [ticker, held.resolution, index])));
  }

  /** Asks for what a view needs, before there is a place to draw it. */
  prepare(held, known) {
    const window = view.windowOf(held, this.#table, known, clock.now_ms(), this.#newest);
    if (!window) return;
    const { resolution } = held;
    const names = new Set(known.map((row) => row[0]));
    const indexes = chunks.within(window.first_ms, window.stop_ms, this.#cache.widthOf(resolution));
    const tickers = held.tickers.filter((each) => names.has(each));
    this.#isPrepared = true;
    this.#cache.variant = held.variant;
    this.#loader.want(indexes.flatMap((index) => tickers.map((ticker) => ({ ticker, resolution, index, isUrgent: true }))));
  }

  /** Shows a view: at once where memory has it. */
  show(next, known) {
    if (this.#view && view.same(this.#view, next) && known === this.#known) return;
    const before = this.#window;
    if (!this.#view || !view.same(this.#view, next) || known !== this.#known) this.#asked.clear();
    // Nobody told of changes of these while they were not shown.
    for (const ticker of next.tickers) if (this.#view && !this.#view.tickers.includes(ticker)) this.#cache.age(ticker);
    this.#cache.variant = next.variant;
    const alike = this.#view?.resolution === next.resolution && next.range === "custom" && this.#view.range === "custom";
    this.#view = next;
    this.#known = known;
    this.#isByHand = false;
    this.#placed.clear();
    const wanted = this.#windowOf(next);
    // Addresses know seconds; a view that comes back from one must not move the picture.
    this.#window = alike && isNear(before, wanted) ? before : wanted;
    for (const ticker of this.#drawn.keys()) if (!next.tickers.includes(ticker)) this.#drawn.delete(ticker);
    if (!this.#window) {
      this.#askServer(next.tickers);
      return;
    }
    if (before && next.range === "custom") this.#turn(before);
    const names = new Set(known.map((row) => row[0]));
    const strangers = next.tickers.filter((ticker) => !names.has(ticker));
    if (strangers.length || !next.tickers.length) this.#askServer(strangers);
    this.#page.told(this.#window);
    this.#until_ms = performance.now() + PATIENCE_MS;
    if (!before && !this.#isPrepared) this.#askForFirst(next.tickers.filter((ticker) => names.has(ticker)));
    this.#drawAll();
    this.#load();
    this.#later();
  }

  /**
   * The first charts of a first visit, a screenful, come from the server, drawn: it has them before the browser could ask.
   */
  #askForFirst(tickers) {
    const missing = tickers
      .filter((ticker) => !this.#parts(ticker, this.#view.resolution, this.#window))
      .slice(0, FEW_TICKERS);
    for (const ticker of missing) this.#placed.set(ticker, performance.now());
    if (missing.length) this.#page.askServer(missing);
  }

  /** The figure of a ticker as it would be drawn now, or null. */
  figureOf(ticker) {
    const parts = this.#window && this.#parts(ticker, this.#view.resolution, this.#window);
    return parts && this.#figure(ticker, parts);
  }

  /** Buckets of the stream. */
  put(rows) {
    const watched = this.watched();
    if (this.#cache.variant) this.#recount.put(rows, watched);
    for (const row of rows) {
      const start_ms = Date.parse(row.timestamp);
      this.#newest.set(row.ticker, Math.max(start_ms, this.#newest.get(row.ticker) ?? start_ms));
      if (this.#cache.variant) continue;
      if (this.#cache.put(row, watched)) this.#changed.add(row.ticker);
      else if (row.resolution === this.#view?.resolution && !this.#asked.has(row.ticker)) this.#changed.add(row.ticker);
    }
    if (this.#changed.size) this.#later();
    this.#timers.save ??= setTimeout(() => this.save(), SAVE_MS);
  }

  /** The resolutions that the stream is to bring: the one on screen and those beside it, which are kept ready. */
  watched(resolution = this.#view?.resolution) {
    const names = this.#table.resolutions.map((each) => each.name);
    const at = names.indexOf(resolution);
    return at < 0 ? [] : names.slice(Math.max(0, at - 1), at + 2);
  }

  /** Other charts may be in sight. */
  look() {
    this.#later();
  }

  /** A minute is over, or the page is seen again: windows that follow the time go on. */
  follow() {
    if (!this.#view) return;
    this.#window = this.#windowOf(this.#view);
    if (!this.#window) return;
    this.#page.told(this.#window);
    this.#drawAll();
    this.#load();
  }

  /** The server is there again. */
  again() {
    this.#loader.again();
  }

  /** What is held may be old: it is drawn, and asked for again. */
  age() {
    this.#cache.age();
    this.#asked.clear();
    this.#load();
  }

  /** The server has drawn a chart: what is here is drawn over it, for it may be newer. */
  adopt(ticker) {
    this.#drawn.delete(ticker);
    this.#later();
  }

  /** The page has changed: charts that came are taken over. */
  #settle() {
    for (const ticker of this.#view?.tickers ?? []) {
      const chart = this.#page.chartOf(ticker);
      // Dash takes hold of a chart when it has drawn it, and says so with this class.
      if (!chart || this.#heard.has(chart) || !chart._fullLayout || chart.matches(".dash-graph--pending")) continue;
      this.#heard.add(chart);
      this.#page.hear(chart);
      this.#drawn.delete(ticker);
    }
  }

  /** Chunks came from the server. */
  arrived({ error, tickers = [], refusal }) {
    if (error || !this.#view) return; // what came before there was anything to show is in the cache
    if (refusal) this.#askServer(tickers);
    for (const ticker of tickers) this.#changed.add(ticker);
    this.#later();
    this.#timers.save ??= setTimeout(() => this.save(), SAVE_MS);
  }

  /** The user's hand left a chart at a range: the others follow, and what lies beyond it is made ready. */
  ranged(start_ms, end_ms) {
    if (!this.#view) return;
    const before = this.#window;
    this.#view = view.withRange(this.#view, start_ms, end_ms);
    this.#isByHand = true;
    const width_ms = this.#cache.widthOf(this.#view.resolution);
    const rows = this.#known.filter((row) => this.#view.tickers.includes(row[0]));
    this.#window = view.bounded(start_ms, end_ms, width_ms, this.#extent(rows.map((row) => row[0]))[1], this.#table);
    this.#turn(before);
    this.#page.told(this.#window);
    this.#drawAll();
    this.#load();
  }

  /** Another look: everything is drawn anew. */
  restyle() {
    this.#drawn.clear();
    this.#drawAll();
  }

  save() {
    clearTimeout(this.#timers.save);
    this.#timers.save = null;
    return this.#cache.save();
  }

  // ---- drawing ----

  #windowOf(held) {
    return view.windowOf(held, this.#table, this.#known, clock.now_ms(), this.#newest);
  }

  #turn(before) {
    if (this.#window.start_ms !== before.start_ms) this.#direction = Math.sign(this.#window.start_ms - before.start_ms);
  }

  /** The consecutive chunks around the window that are in memory; null when one that it needs is not. */
  #parts(ticker, resolution, window) {
    const width_ms = this.#cache.widthOf(resolution);
    const needed = chunks.within(window.first_ms, window.stop_ms, width_ms);
    const parts = needed.map((index) => this.#cache.get(ticker, resolution, index));
    if (parts.some((each) => !each)) return null;
    const [from_ms, to_ms] = this.#spread(window);
    for (let index = needed[0] - 1; index >= chunks.indexOf(from_ms, width_ms); index -= 1) {
      const chunk = this.#cache.get(ticker, resolution, index);
      if (!chunk) break;
      parts.unshift(chunk);
    }
    for (let index = needed.at(-1) + 1; index <= chunks.indexOf(to_ms, width_ms); index += 1) {
      const chunk = this.#cache.get(ticker, resolution, index);
      if (!chunk) break;
      parts.push(chunk);
    }
    return parts;
  }

  #figure(ticker, parts) {
    const { resolution } = this.#view;
    const width_ms = this.#cache.widthOf(resolution);
    const about = { ticker, resolution, width_ms, scorer: this.#cache.scorer };
    const columns = chunks.joined(parts, ...this.#spread(this.#window));
    return candles.figureOf(this.#blanks, about, columns, this.#window, clock.now_ms(), this.#page.look());
  }

  /** The same, made once for what looks the same. Not for Plotly, which writes into what it is given. */
  #figureOnce(ticker, parts, stamps) {
    const key = `${ticker} ${stamps}`;
    const figure = this.#figures.get(key) ?? this.#figure(ticker, parts);
    this.#figures.delete(key); // the Map's order is that of use
    this.#figures.set(key, figure);
    if (this.#figures.size > MOST_FIGURES) this.#figures.delete(this.#figures.keys().next().value);
    return figure;
  }

  #drawAll() {
    // Asked of all before the first is drawn: a question after a change makes the browser lay out the page once more.
    const seen = this.#view.tickers.filter((ticker) => this.#page.isSeen(ticker));
    for (const ticker of seen) this.#draw(ticker);
    this.#seen = seen;
  }

  #draw(ticker) {
    const { resolution } = this.#view;
    const parts = this.#parts(ticker, resolution, this.#window);
    if (!parts) return;
    const chart = this.#page.chartOf(ticker);
    if (chart && !this.#heard.has(chart)) {
      this.#comes = true; // Dash is drawing it
      return;
    }
    const isThere = Boolean(chart);
    const stamps = this.#stampsOf(parts);
    if (isThere && this.#drawn.get(ticker)?.chart === chart && this.#drawn.get(ticker).stamps === stamps) return;
    const figure = isThere ? this.#figureOnce(ticker, parts, stamps) : this.#figure(ticker, parts);
    const { x } = figure.data[0];
    const at = chunks.placeOf(x, this.#window.first_ms);
    const isEmpty = !(at < x.length && x[at] < this.#window.stop_ms);
    if (isEmpty && !this.#isByHand && navigator.onLine && !this.#loader.isCutOff) {
      this.#askServer([ticker]); // it knows where there are some
      if (!isThere) return;
    }
    if (!isThere) {
      if (performance.now() - this.#placed.get(ticker) < PATIENCE_MS) return;
      if (this.#page.place(ticker, figure)) this.#placed.set(ticker, performance.now());
      else this.#comes = true;
      return;
    }
    const held = this.#drawn.get(ticker);
    const print = printOf(figure);
    const isSame = held?.chart === chart && held.print === print;
    const changed = isSame ? changedOf(held.figure, figure) : null;
    if (changed === "nothing") {
      held.stamps = stamps;
      return;
    }
    if (changed !== "newest" || !painter.tick(chart, figure)) void painter.swap(window.Plotly, chart, figure);
    this.#drawn.set(ticker, { chart, print, figure, stamps });
    this.#page.strip(ticker, this.#window, figure.layout.meta.open_bucket_ms);
    this.#page.drew(chart);
    this.#readOut(ticker);
  }

  /** Equal for what would be drawn equal. */
  #stampsOf(parts) {
    const { start_ms, end_ms } = this.#window;
    const width_ms = this.#cache.widthOf(this.#view.resolution);
    const open = Math.floor(clock.now_ms() / width_ms);
    return [this.#view.resolution, start_ms, end_ms, open, this.#page.look().theme, parts.map((each) => each.stamp)].join();
  }

  /** So often at most, and those of all charts at once: within the frame of a tick, if one comes, for each frame costs. */
  #readOut(ticker) {
    this.#readouts.add(ticker);
    this.#timers.readout ??= setTimeout(() => this.#readOutAll(), READOUT_MS);
  }

  #readOutAll() {
    clearTimeout(this.#timers.readout);
    this.#timers.readout = null;
    this.#readouts_ms = performance.now();
    for (const ticker of this.#readouts) this.#page.readOut(ticker);
    this.#readouts.clear();
  }

  #askServer(tickers) {
    const fresh = tickers.filter((ticker) => !this.#asked.has(ticker));
    for (const ticker of fresh) this.#asked.add(ticker);
    if (fresh.length || !tickers.length) this.#page.askServer(fresh);
    this.#until_ms = performance.now() + PATIENCE_MS;
    this.#later();
  }

  /** Draws what changed and what came into sight, when the page next has a frame for it. */
  #later() {
    if (this.#frame !== null || !this.#view) return;
    this.#frame = requestAnimationFrame(() => {
      const began_ms = performance.now();
      const isBusy = this.#page.isBusy();
      if (!isBusy) this.#catchUp();
      // Drawing takes the page at most a quarter of its time, however much is written: the rest is the user's.
      const rest_ms = isBusy ? 60 : 3 * (performance.now() - began_ms);
      setTimeout(() => {
        this.#frame = null;
        if (isBusy) this.#later();
        else if (this.#changed.size || this.#comes) this.#later();
      }, rest_ms);
    });
  }

  #catchUp() {
    this.#comes = false;
    if (document.hidden || !this.#window) return;
    this.#settle();
    this.#changed.clear();
    const next = this.#windowOf(this.#view);
    const hasMoved = next && JSON.stringify(next) !== JSON.stringify(this.#window);
    if (hasMoved) {
      this.#window = next;
      this.#page.told(next);
    }
    this.#drawAll();
    if (performance.now() - this.#readouts_ms > READOUT_MS) this.#readOutAll();
    if (hasMoved) this.#load();
    else this.#timers.load ??= setTimeout(() => this.#load(), LOAD_MS);
    const isComing = this.#view.tickers.some((ticker) => !this.#page.chartOf(ticker));
    if (isComing && performance.now() < this.#until_ms) this.#comes = true;
  }

  // ---- loading ----

  /** Says to the loader what is wanted, most urgent first. */
  #load() {
    clearTimeout(this.#timers.load);
    this.#timers.load = null;
    if (!this.#window || this.#cache.scorer === undefined) return;
    const wanted = [];
    const listed = new Set();
    const names = new Set(this.#known.map((row) => row[0]));
    const tickers = this.#view.tickers.filter((ticker) => names.has(ticker));
    const seen = tickers.filter((ticker) => this.#seen.includes(ticker));
    const unseen = tickers.filter((ticker) => !seen.includes(ticker));
    const { resolution } = this.#view;
    const add = (some, name, from_ms, to_ms, isUrgent) => {
      const width_ms = this.#cache.widthOf(name);
      for (const index of chunks.within(from_ms, to_ms, width_ms)) {
        for (const ticker of some) {
          const key = `${ticker} ${name} ${index}`;
          const chunk = this.#cache.get(ticker, name, index);
          // To count a variant costs the server more: what is not in view is asked for again when it is.
          if ((chunk && (!chunk.isOld || (this.#cache.variant && !isUrgent))) || listed.has(key)) continue;
          listed.add(key);
          wanted.push({ ticker, resolution: name, index, isUrgent });
        }
      }
    };
    const { first_ms, stop_ms } = this.#window;
    const [from_ms, to_ms] = this.#spread(this.#window);
    // Beside the window nothing is asked for where there is nothing.
    const [earliest_ms, latest_ms] = this.#extent(tickers);
    const beside = (start_ms, end_ms, isUrgent) =>
      add(seen, resolution, Math.max(start_ms, earliest_ms), Math.min(end_ms, latest_ms + 1), isUrgent);
    add(seen, resolution, first_ms, stop_ms, true);
    const sides = [[from_ms, first_ms], [stop_ms, to_ms]];
    for (const each of this.#direction < 0 ? sides : sides.reverse()) beside(...each, true);
    add(unseen, resolution, first_ms, stop_ms, false);
    const near = this.watched().filter((name) => name !== resolution);
    const far = tickers.length <= FEW_TICKERS ? this.#table.resolutions.map((each) => each.name) : [];
    for (const name of [...near, ...far.filter((each) => each !== resolution && !near.includes(each))]) {
      const next = this.#windowOf(view.withResolution(this.#view, name, this.#table, this.#known));
      if (next) add(seen, name, next.first_ms, next.stop_ms, false);
    }
    const ahead_ms = AHEAD_CHUNKS * chunks.INTERVALS * this.#cache.widthOf(resolution);
    if (this.#direction < 0) beside(from_ms - ahead_ms, from_ms, false);
    else beside(to_ms, to_ms + ahead_ms, false);
    void this.#fetch(wanted);
  }

  /** What the shelf has comes from there; it is old, and so asked for as well. */
  async #fetch(wanted) {
    const missing = wanted.filter((each) => !this.#cache.get(each.ticker, each.resolution, each.index));
    this.#loader.want(wanted);
    if (!missing.length) return;
    const count = await this.#cache.fetch(missing.map((each) => [each.ticker, each.resolution, each.index]));
    if (count) this.#later();
  }

  /** The window with its margins. */
  #spread({ first_ms, stop_ms }) {
    const margin_ms = (this.#view.tickers.length > FEW_CHARTS ? MARGIN : LARGE_MARGIN) * (stop_ms - first_ms);
    return [first_ms - margin_ms, stop_ms + margin_ms];
  }

  /** From when to when there are scores of tickers. */
  #extent(tickers) {
    const rows = this.#known.filter((row) => tickers.includes(row[0]));
    const last = (row) => Math.max(row[3], this.#newest.get(row[0]) ?? row[3]);
    return [Math.min(...rows.map((row) => row[2])), Math.max(...rows.map(last))];
  }
}

/** What a figure shows besides its newest data: when this is another, the chart is not just moved by a tick. */
function printOf({ data, layout }) {
  const { x } = data[0];
  const { meta, xaxis, shapes } = layout;
  return [meta.ticker, meta.resolution, meta.theme, xaxis.range, shapes[2].x0, x.length, x[0], x.at(-1)].join(" ");
}

/** How the candles of two figures of one print differ: nothing, newest or more. Candles are never changed in place. */
function changedOf(held, next) {
  const [before, after] = [held.data[0].customdata, next.data[0].customdata];
  const at = after.findIndex((each, place) => each !== before[place]);
  if (at < 0) return "nothing";
  return at === after.length - 1 ? "newest" : "more";
}

function isNear(before, wanted) {
  return Boolean(before && wanted) && ["start_ms", "end_ms"].every((end) => Math.abs(before[end] - wanted[end]) < 1000);
}
