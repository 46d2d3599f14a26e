// The page's end of the live stream: it watches what the view shows, moves the charts when news come, and says in the
// bar how live they are. The server's own drawing goes on beside it, rarely: it opens new buckets and is the safety net.

import * as candles from "./candles.mjs";
import * as clock from "./clock.mjs";
import { Exchange } from "./stream.mjs";

const WORKER = "/assets/stream-worker.mjs";
const HERE_MS = 10_000;
// While live, the server is asked this often whether something was overlooked.
const NET_MS = 30_000;
// A new minute may open buckets; a moment later, since the clock here is a little behind.
const AFTER_MINUTE_MS = 120;
const ASK_AGAIN_MS = 500;
const MOST_ROWS = 2_000;
// Nothing heard for so long, and no stream, is offline: two polls and a half.
const SILENT_MS = 6_000;
const BUSY_AGAIN_MS = 60;
// A figure that the server made before a bucket came may arrive after it, and must not take it back.
const KEPT_MS = 20_000;

/**
 * `page` is what this needs of the page: figureOf(ticker), show(ticker, figure), isSeen(ticker), isBusy(), ask() for
 * the server's drawing, pollEvery(ms) (null: as usual), colours() and reload().
 */
export class Live {
  #page;
  #send;
  #view = null;
  #span = null;
  #last = null;
  #state = "waiting";
  #heard_ms = null;
  // Buckets of the stream, by ticker, resolution and start: until a figure holds them, and for a while after that.
  #rows = new Map();
  #draws = false;
  #waits = false;
  #asked_ms = 0;
  #asks = false;
  #minute = null;

  constructor(page) {
    this.#page = page;
    this.#send = connect((message) => this.#hear(message));
    setInterval(() => this.#send({ kind: "here" }), HERE_MS);
    document.addEventListener("visibilitychange", () => {
      this.#watch();
      if (!document.hidden) this.#ask();
    });
    window.addEventListener("pagehide", () => this.#send({ kind: "bye" }));
    window.addEventListener("pageshow", () => this.#watch());
    for (const name of ["online", "offline"]) {
      window.addEventListener(name, () => this.#send({ kind: "network", online: name === "online" }));
    }
    document.addEventListener("scroll", () => this.#draw(), { passive: true });
  }

  /** What the view now shows. Has to be said before the server is asked for it, so that nothing falls in between. */
  look(view, known) {
    const names = new Set(known.map((row) => row[0]));
    const tickers = view.tickers.filter((each) => names.has(each));
    const next = { tickers, resolution: view.resolution, range: view.range };
    if (JSON.stringify(next) === JSON.stringify(this.#view)) return;
    this.#view = next;
    this.#watch();
  }

  /** What the server says of the store whenever it is asked: the first time, where the stream has to begin. */
  told(pulse) {
    if (!pulse?.now_ms || this.#last) return;
    this.#last = `${pulse.revision}-0-${pulse.now_ms}`;
    this.#become(this.#state); // the page is there now, and hears how often to ask
    this.#watch();
  }

  /** The server has answered, news or not. */
  heard() {
    this.#heard_ms = Date.now();
    this.paint();
  }

  /** The time that the charts now show. */
  shows(span) {
    this.#span = span;
    this.#draw();
  }

  /** A chart has another figure; news that it does not hold yet go into it. */
  drew() {
    this.#draw();
  }

  /** Says in the bar how live the charts are, and how long ago the server was heard of. */
  paint() {
    const badge = document.getElementById("feed");
    if (!badge || this.#heard_ms === null) return;
    const silent_ms = Date.now() - this.#heard_ms;
    const polls = navigator.onLine && silent_ms < SILENT_MS;
    const state = this.#state === "live" ? "live" : polls ? "polling" : "offline";
    const text = `${state} · ${age(silent_ms)}`;
    if (badge.textContent !== text) badge.textContent = text;
    badge.dataset.state = state;
  }

  #watch() {
    if (!this.#view || !this.#last) return;
    const watches = !document.hidden && this.#view.tickers.length > 0;
    const tickers = watches ? this.#view.tickers : [];
    this.#send({ kind: "watch", tickers, resolutions: watches ? [this.#view.resolution] : [], from: this.#last });
  }

  #hear(message) {
    if (message.kind === "state") this.#become(message.state);
    if (message.kind !== "news") return;
    this.#last = message.id;
    if (message.beat) clock.set(Date.parse(message.beat.timestamp));
    for (const row of message.rows) this.#keep(row);
    if (message.resync) {
      this.#rows.clear();
      this.#page.reload();
    }
    if (message.rows.length) this.#draw();
    this.heard();
  }

  #become(state) {
    this.#state = state;
    this.#page.pollEvery(state === "live" ? NET_MS : null);
    clearTimeout(this.#minute);
    if (state === "live") this.#await_minute();
    this.paint();
  }

  #await_minute() {
    this.#minute = setTimeout(() => {
      if (!document.hidden) this.#ask();
      this.#await_minute();
    }, 60_000 - (((clock.now_ms() % 60_000) + 60_000) % 60_000) + AFTER_MINUTE_MS);
  }

  #keep(row) {
    const key = `${row.ticker} ${row.resolution} ${row.timestamp}`;
    const held = this.#rows.get(key);
    if (held && held.row.count >= row.count) return;
    this.#rows.delete(key);
    this.#rows.set(key, { row, came_ms: Date.now(), isDrawn: false, isAsked: false });
    if (this.#rows.size > MOST_ROWS) this.#rows.delete(this.#rows.keys().next().value);
  }

  /** Lets the server draw, at once or a little after the last time. */
  #ask() {
    if (this.#asks) return;
    this.#asks = true;
    const wait_ms = this.#asked_ms + ASK_AGAIN_MS - Date.now();
    setTimeout(() => {
      this.#asks = false;
      this.#asked_ms = Date.now();
      this.#page.ask();
    }, Math.max(0, wait_ms));
  }

  #draw() {
    this.#waits = true;
    if (!this.#rows.size || this.#draws) return;
    this.#draws = true;
    requestAnimationFrame(() => {
      const began = performance.now();
      const isBusy = this.#page.isBusy();
      if (!isBusy) this.#drawNow();
      // Drawing takes the page at most half of its time, however much is written: the rest is the user's.
      setTimeout(() => {
        const rest_ms = isBusy ? BUSY_AGAIN_MS : performance.now() - began;
        setTimeout(() => {
          this.#draws = false;
          if (isBusy || this.#waits) this.#draw();
        }, rest_ms);
      }, 0);
    });
  }

  #drawNow() {
    this.#waits = false;
    for (const [ticker, entries] of this.#entries()) {
      const figure = this.#page.figureOf(ticker);
      // The figure of another resolution is about to be replaced, and comes back here then.
      const isOther = figure && figure.layout.meta.resolution !== entries[0].row.resolution;
      if (isOther || !this.#page.isSeen(ticker)) continue;
      const inside = entries.filter((each) => this.#holds(each.row));
      const beyond = entries.filter((each) => this.#isBeyond(each.row));
      // What has no chart yet, or lies beyond its end, is for the server to draw.
      if ((figure ? beyond : [...inside, ...beyond]).some((each) => !each.isAsked)) this.#ask();
      for (const each of entries) {
        each.isAsked = true;
        each.isDrawn ||= !beyond.includes(each);
      }
      if (!figure) continue;
      const next = candles.moved(figure, inside.map((each) => each.row), this.#page.colours());
      if (next !== figure) this.#page.show(ticker, next);
    }
  }

  /** The buckets that may be news, by ticker, of what the view shows. */
  #entries() {
    const found = new Map();
    for (const [key, entry] of this.#rows) {
      const { row, isDrawn, came_ms } = entry;
      const isShown = row.resolution === this.#view.resolution && this.#view.tickers.includes(row.ticker);
      if (!isShown || (isDrawn && Date.now() - came_ms > KEPT_MS)) this.#rows.delete(key);
      else if (found.has(row.ticker)) found.get(row.ticker).push(entry);
      else found.set(row.ticker, [entry]);
    }
    return found;
  }

  #holds(row) {
    const start_ms = Date.parse(row.timestamp);
    return this.#span !== null && start_ms >= this.#span.first_ms && start_ms < this.#span.end_ms;
  }

  #isBeyond(row) {
    return this.#view.range !== "custom" && this.#span !== null && Date.parse(row.timestamp) >= this.#span.end_ms;
  }
}

/** Joins the one connection of all tabs, or one of this page alone where the browser has no shared workers. */
function connect(tell) {
  const alone = () => new Exchange((address) => new EventSource(address)).join(tell);
  if (!window.SharedWorker) return alone();
  let send = null;
  const said = [];
  const worker = new SharedWorker(WORKER, { type: "module", name: "tickertone" });
  // A browser that has shared workers but not of modules fails here, later; what was said until then is said again.
  worker.onerror = () => {
    if (send) return;
    send = alone();
    for (const message of said.splice(0)) send(message);
  };
  worker.port.onmessage = ({ data }) => {
    said.length = 0;
    tell(data);
  };
  return (message) => {
    if (send) send(message);
    else {
      if (message.kind !== "here" && said.length < 20) said.push(message);
      worker.port.postMessage(message);
    }
  };
}

function age(silent_ms) {
  const seconds = Math.floor(silent_ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
