// The page's end of the live stream: it watches what the view shows, hands on what comes, and says in the bar how live
// the charts are.

import { at } from "./address.mjs";
import * as clock from "./clock.mjs";
import { byScorer, Exchange } from "./stream.mjs";

const WORKER = at("/assets/stream-worker.mjs");
const HERE_MS = 10_000;
// While live, the server is asked this often whether something was overlooked.
const NET_MS = 30_000;
// A new minute may open buckets; a moment later, since the clock here is a little behind.
const AFTER_MINUTE_MS = 120;
const ASK_AGAIN_MS = 500;
// Nothing heard for so long, and no stream, is offline: two polls and a half.
const SILENT_MS = 6_000;
// A page that has just been opened waits so long for the first answer before it says anything.
const FIRST_MS = 3_000;

/**
 * `page` is what this needs of the page: put(rows) for buckets of the stream, watched(resolution) for the resolutions to
 * bring, follow() when windows may have moved on, again() when the server is there again, ask() for the state of the store, pollEvery(ms) (null: as usual),
 * age(revision) when charts may be old.
 */
export class Live {
  #page;
  #send;
  #view = null;
  #known = new Set();
  #last = null;
  #revision = null;
  #state = "waiting";
  #heard_ms = null;
  #asked_ms = 0;
  #asks = false;
  #opened_ms = Date.now();
  #isHeard = false;
  #minute = null;

  /**
   * `heard_ms` is when the server was last heard of, before this page was opened; undefined when it never was. `scorer` is
   * the one whose scores are watched; undefined for the default one.
   */
  constructor(page, heard_ms, scorer) {
    this.#page = page;
    this.#heard_ms = heard_ms ?? null;
    this.#send = connect((message) => this.#hear(message), scorer);
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
  }

  /** What the view now shows. Has to be said before the server is asked for it, so that nothing falls in between. */
  look(view, known) {
    this.#known = new Set(known.map((row) => row[0]));
    const { tickers, resolution, range } = view;
    const next = { tickers, resolution, range };
    if (JSON.stringify(next) === JSON.stringify(this.#view)) return;
    this.#view = next;
    this.#watch();
  }

  /** Charts are of this state of the store or a later one, before the stream begins: what comes between is not lost. */
  met(revision) {
    if (!this.#last) this.#revision = Math.min(revision, this.#revision ?? revision);
  }

  /** What the server says of the store whenever it is asked: the first time, where the stream has to begin. */
  told(pulse) {
    if (!pulse?.now_ms) return;
    // While the stream tells of every change, the pulse has nothing to add.
    if (this.#state !== "live" && this.#revision !== null && pulse.revision > this.#revision) this.#page.age();
    this.#revision = pulse.revision;
    if (this.#last) return;
    this.#last = `${pulse.revision}-0-${pulse.now_ms}`;
    this.#become(this.#state); // the page is there now, and hears how often to ask
    this.#watch();
  }

  /** The server has answered, news or not. */
  heard() {
    this.#heard_ms = Date.now();
    this.#isHeard = true;
    this.paint();
  }

  /** Says in the bar how live the charts are, and how long ago the server was heard of. */
  paint() {
    const badge = document.getElementById("feed");
    const isOpening = !this.#isHeard && Date.now() - this.#opened_ms < FIRST_MS;
    if (!badge || (isOpening && this.#heard_ms === null)) return;
    const silent_ms = Date.now() - (this.#heard_ms ?? this.#opened_ms);
    const polls = navigator.onLine && silent_ms < SILENT_MS;
    const state = isOpening ? "kept" : this.#state === "live" ? "live" : polls ? "polling" : "offline";
    const text = `${state} · ${clock.age(silent_ms)}`;
    if (badge.textContent !== text) badge.textContent = text;
    badge.dataset.state = state;
  }

  #watch() {
    if (!this.#view || !this.#last) return;
    const watches = !document.hidden && this.#view.tickers.length > 0;
    const tickers = watches ? this.#view.tickers : [];
    const resolutions = watches ? this.#page.watched(this.#view.resolution) : [];
    this.#send({ kind: "watch", tickers, resolutions, from: this.#last });
  }

  #hear(message) {
    if (message.kind === "state") this.#become(message.state);
    if (message.kind !== "news") return;
    this.#last = message.id;
    if (message.beat) clock.set(Date.parse(message.beat.timestamp));
    if (message.resync) this.#page.age();
    if (message.rows.length) this.#page.put(message.rows);
    // The first text about a ticker that is looked at: the server says what else there is of it.
    if (message.rows.some((row) => !this.#known.has(row.ticker))) this.#ask();
    this.heard();
  }

  #become(state) {
    this.#state = state;
    if (state === "live") this.#page.again();
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

  /** Windows go on, and the server says what there is, at once or a little after the last time. */
  #ask() {
    this.#page.follow();
    if (this.#asks) return;
    this.#asks = true;
    const wait_ms = this.#asked_ms + ASK_AGAIN_MS - Date.now();
    setTimeout(() => {
      this.#asks = false;
      this.#asked_ms = Date.now();
      this.#page.ask();
    }, Math.max(0, wait_ms));
  }
}

/** Joins the one connection of all tabs by a scorer, or one of this page alone where there are no shared workers. */
function connect(tell, scorer) {
  const alone = () => new Exchange((address) => new EventSource(address + byScorer(scorer))).join(tell);
  if (!window.SharedWorker) return alone();
  let send = null;
  const said = [];
  const worker = new SharedWorker(WORKER, { type: "module", name: `tickertone ${scorer ?? ""}` });
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
