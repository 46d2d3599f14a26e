// The connection to the live stream: one EventSource for all tabs, which comes back by itself and is told what it
// missed. It runs in a shared worker (stream-worker.mjs), or in the page where there is none.

import { at } from "./address.mjs";

const EVENTS = ["bucket_update", "partial_bucket", "heartbeat", "resync"];
const FIRST_RETRY_MS = 500;
// With its jitter below 5 s, which is what users may have to wait once the server answers again.
const LAST_RETRY_MS = 3_600;
// A server says something every 5 s; one that says nothing for longer than this may be gone without a word. The patience
// doubles each time, so that a server that is set to speak less often is understood too.
const PATIENCE_MS = 12_500;
// Views change in steps (tickers, then resolution, then another tab), a connection once.
const SETTLE_MS = 40;
const SWEEP_MS = 10_000;
// Tabs say every SWEEP_MS that they are there. One that was ended by force does not.
const GONE_MS = 35_000;
// As many as the server takes at once; more are watched by watching all.
const MOST_TICKERS = 50;

/** How long to wait before the next try: doubles from half a second to a few seconds, each a quarter more or less. */
export function retry_ms(failures, random = Math.random()) {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.75 + 0.5 * random);
}

/** The id from which on both tell everything: ids are VERSION-NTH-MS, the place of a change and a time. */
export function earlier(a, b) {
  if (!a || !b) return a || b;
  const [first, second] = [a, b].map((id) => id.split("-").map(Number));
  const [low, high] = first[0] - second[0] || first[1] - second[1] ? [first, second].sort(byPlace) : [first, second];
  return [low[0], low[1], Math.min(low[2], high[2])].join("-");
}

function byPlace(a, b) {
  return a[0] - b[0] || a[1] - b[1];
}

/** What all tabs together watch, as the address of the stream; null when none watches anything. */
export function addressOf(tickers, resolutions, last) {
  if (!tickers.length || !resolutions.length) return null;
  const asked = [`resolutions=${resolutions.join(",")}`];
  if (tickers.length <= MOST_TICKERS) asked.push(`tickers=${tickers.map(encodeURIComponent).join(",")}`);
  if (last) asked.push(`last_event_id=${last}`);
  return at(`/api/v2/stream?${asked.join("&")}`);
}

/** What an address of the stream has to say more of, for another scorer than the default one. */
export function byScorer(scorer) {
  return scorer ? `&scorer=${encodeURIComponent(scorer)}` : "";
}

/**
 * The one connection of all tabs. A tab joins with a function that takes messages to it, and gets one for its own:
 * {kind: "watch", tickers, resolutions, from}, {kind: "here"}, {kind: "bye"}, {kind: "network", online}. To the tab go
 * {kind: "state", state} with "live", "waiting" or "offline", and {kind: "news", id, rows, beat, resync}.
 */
export class Exchange {
  #connect;
  #tabs = new Set();
  #source = null;
  #watched = { tickers: new Set(), resolutions: new Set() };
  #last = null;
  #state = "waiting";
  #online = true;
  #failures = 0;
  #patience_ms = PATIENCE_MS;
  #timers = {};

  constructor(connect) {
    this.#connect = connect;
  }

  join(tell) {
    const tab = { tell, tickers: [], resolutions: [], heard_ms: Date.now(), news: null };
    return (message) => this.#hear(tab, message);
  }

  #hear(tab, message) {
    tab.heard_ms = Date.now();
    if (message.kind === "bye") {
      this.#tabs.delete(tab);
      this.#adjust();
      return;
    }
    if (!this.#tabs.has(tab)) {
      this.#tabs.add(tab);
      tab.tell({ kind: "state", state: this.#state });
      if (message.kind === "here") this.#adjust();
    }
    this.#timers.sweep ??= setInterval(() => this.#sweep(), SWEEP_MS);
    if (message.kind === "watch") this.#watch(tab, message);
    if (message.kind === "network") this.#network(message.online);
  }

  #watch(tab, { tickers, resolutions, from }) {
    Object.assign(tab, { tickers, resolutions });
    const since = earlier(this.#last, from);
    const rewinds = tickers.length > 0 && since !== this.#last;
    if (rewinds) this.#last = since;
    this.#adjust(rewinds);
  }

  #network(online) {
    this.#online = online;
    this.#failures = 0;
    if (online) this.#open();
    else {
      this.#close();
      this.#be("offline");
    }
  }

  /** Connects anew when something is watched that the connection does not bring, or has to be told again. */
  #adjust(again = false) {
    const wanted = this.#wanted();
    if (!wanted.tickers.length) {
      this.#close();
      this.#last = null; // whoever watches next says from where
      this.#be("waiting");
      return;
    }
    const { tickers, resolutions } = this.#watched;
    const covered =
      wanted.tickers.every((each) => tickers.has(each)) && wanted.resolutions.every((each) => resolutions.has(each));
    if (this.#timers.retry || !(again || !covered)) return;
    this.#set("settle", () => this.#open(), SETTLE_MS);
  }

  #wanted() {
    const watching = [...this.#tabs].filter((tab) => tab.tickers.length && tab.resolutions.length);
    const all = (name) => [...new Set(watching.flatMap((tab) => tab[name]))].sort();
    return { tickers: all("tickers"), resolutions: all("resolutions") };
  }

  #sweep() {
    for (const tab of this.#tabs) if (Date.now() - tab.heard_ms > GONE_MS) this.#tabs.delete(tab);
    const wanted = this.#wanted();
    const { tickers, resolutions } = this.#watched;
    const tooMuch = tickers.size > wanted.tickers.length || resolutions.size > wanted.resolutions.length;
    if (this.#source && tooMuch) this.#adjust(true);
  }

  #open() {
    this.#close();
    const { tickers, resolutions } = this.#wanted();
    const address = addressOf(tickers, resolutions, this.#last);
    if (!address || !this.#online) return;
    this.#watched = { tickers: new Set(tickers), resolutions: new Set(resolutions) };
    const source = (this.#source = this.#connect(address));
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#take(source, name, event));
    source.onerror = () => this.#fail(source);
    this.#watch_for_silence(source);
  }

  #take(source, name, event) {
    if (source !== this.#source) return;
    this.#failures = 0;
    this.#last = event.lastEventId;
    this.#watch_for_silence(source);
    this.#be("live");
    const data = JSON.parse(event.data);
    for (const tab of this.#tabs) {
      if (!tab.news) {
        tab.news = { kind: "news", id: null, rows: [], beat: null, resync: false };
        setTimeout(() => this.#deliver(tab), 0);
      }
      tab.news.id = this.#last;
      if (name === "heartbeat") tab.news.beat = data;
      else if (name === "resync") tab.news.resync = true;
      else if (tab.tickers.includes(data.ticker) && tab.resolutions.includes(data.resolution)) tab.news.rows.push(data);
    }
  }

  #deliver(tab) {
    const { news } = tab;
    tab.news = null;
    tab.tell(news);
  }

  #watch_for_silence(source) {
    this.#set("silence", () => {
      this.#patience_ms *= 2;
      this.#fail(source);
    }, this.#patience_ms);
  }

  #fail(source) {
    if (source !== this.#source) return;
    this.#close();
    this.#be("waiting");
    this.#set("retry", () => this.#open(), retry_ms(this.#failures));
    this.#failures += 1;
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    this.#watched = { tickers: new Set(), resolutions: new Set() };
    for (const name of ["retry", "settle", "silence"]) this.#set(name, null);
  }

  #be(state) {
    if (state === this.#state) return;
    this.#state = state;
    for (const tab of this.#tabs) tab.tell({ kind: "state", state });
  }

  #set(name, act, after_ms) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = act && setTimeout(() => {
      this.#timers[name] = null;
      act();
    }, after_ms);
  }
}
