// The start of the page: its first charts are drawn as sketches before anything else, from what this browser kept or from
// what the server has; then Dash and Plotly are brought, which draw the charts that stay (assets/main.mjs).

import { at } from "./address.mjs";
import * as candles from "./candles.mjs";
import * as chunks from "./chunks.mjs";
import * as clock from "./clock.mjs";
import { painted } from "./frame.mjs";
import { about, blanks, cache, chosen, kept, listen, loader, table } from "./ground.mjs";
import * as session from "./session.mjs";
import * as sketches from "./sketches.mjs";
import { byScorer } from "./stream.mjs";
import * as theme from "./theme.mjs";
import * as view from "./view.mjs";
import * as zones from "./zones.mjs";

// A first visit asks for so many tickers at once; where there are more, the pulse tells of them.
const MOST_MET = 500;
// As many as a large screen holds.
const MOST_SKETCHES = 12;
// Where nothing can be sketched in this time, Dash need not wait for it.
const PATIENCE_MS = 1_000;
// So long at most what Dash needs is not even fetched.
const HOLD_MS = 300;

session.watch();

/** {known, scorer, revision} as the server tells a first visit; null where it cannot be had, or has too much to tell. */
export const met = kept ? Promise.resolve(null) : meet();

async function meet() {
  const answer = await fetch(at(`/api/v2/tickers?limit=${MOST_MET}${byScorer(chosen)}`)).catch(() => null);
  if (!answer?.ok) return null; // the pulse says it, or why not
  const { tickers, scorer, has_more, revision } = await answer.json();
  if (has_more) return null;
  const moments = ({ first, last }) => [first, last].map((each) => Date.parse(each));
  return { known: tickers.map((each) => [each.ticker, each.count, ...moments(each)]), scorer, revision };
}

// Once all that was to be sketched is on the screen.
let whole = Promise.resolve();

/**
 * Draws the sketches of the page's view; says whether there are any. The first chart is on the screen before anything is
 * done for the others: to read and paint ten takes longer than all that comes before. They are drawn again when newer
 * data come.
 */
async function sketchAll() {
  const { known, scorer } = kept ?? (await met) ?? {};
  if (!known) return false;
  const shown = view.parse(window.location.search, table, known);
  cache.scorer = scorer;
  cache.variant = shown.variant;
  const window_ = view.windowOf(shown, table, known, clock.now_ms());
  // What is not as usual, the bar says; as long as there is none, it is not shown.
  if (!window_ || window_.asked_ms < window_.start_ms || shown.variant || chosen) return false;
  const { resolution } = shown;
  const width_ms = cache.widthOf(resolution);
  const names = new Set(known.map(([ticker]) => ticker));
  const tickers = shown.tickers.filter((each) => names.has(each)).slice(0, MOST_SKETCHES);
  if (!tickers.length) return false;
  const indexes = chunks.within(window_.first_ms, window_.stop_ms, width_ms);
  const placesOf = (some) => some.flatMap((ticker) => indexes.map((index) => [ticker, resolution, index]));
  const zone = zones.of(shown);
  const draw = (some) => {
    const figures = new Map();
    let isOld = false;
    for (const ticker of some) {
      const parts = indexes.map((index) => cache.get(ticker, resolution, index));
      if (!parts.every(Boolean)) continue;
      const columns = chunks.joined(parts, window_.first_ms, window_.stop_ms);
      if (!columns.x.length) continue; // the server says where there are some
      isOld ||= parts.some((each) => each.isOld);
      const of = { ticker, resolution, width_ms, scorer };
      figures.set(ticker, candles.figureOf(blanks, of, columns, window_, clock.now_ms(), { theme: theme.current() }));
    }
    const { stop_ms } = window_;
    const heard_ms = isOld ? kept.heard_ms : null;
    if (figures.size) sketches.show(shown, figures, { zone, stop_ms, isSimulated: about.simulated, heard_ms });
    return figures.size > 0;
  };
  let [isBegun, isDue] = [false, false];
  const then = (step) => (whole = whole.then(step));
  const drawDue = () => {
    if (isDue && sketches.isThere()) draw(tickers);
    isDue = false;
  };
  // Two frames: during the first one the chart is still on its way to the screen.
  const drawFirst = (some, ...next) => {
    isBegun = some.some((ticker) => draw([ticker]));
    if (isBegun) for (const step of [painted, painted, ...next, drawDue, painted]) then(step);
  };
  const readAll = async () => {
    await cache.fetch(placesOf(tickers));
    isDue = true;
  };
  if (kept) {
    const [first] = tickers;
    await cache.fetch(placesOf([first]));
    drawFirst([first], readAll);
    if (!isBegun) {
      await readAll();
      drawFirst(tickers);
    }
  }
  return new Promise((resolve) => {
    if (isBegun) resolve(true);
    const hear = (news) => {
      const isReady = news.error || indexes.every((index) => tickers.every((ticker) => cache.get(ticker, resolution, index)));
      if (!isReady) return;
      if (!news.error) {
        isDue = true;
        if (isBegun) then(drawDue);
        else drawFirst(tickers);
      }
      resolve(sketches.isThere());
    };
    listen(hear, { isLast: false });
    loader.want(placesOf(tickers).map(([ticker, , index]) => ({ ticker, resolution, index, isUrgent: true })));
  });
}

const wait = (ms) => new Promise((resolve) => void setTimeout(resolve, ms));

/** Fetches what comes next, without running it yet. */
function fetchAhead(later) {
  for (const link of later.querySelectorAll("link")) document.head.append(link.cloneNode());
  for (const { src } of later.querySelectorAll("script[src]")) {
    const link = Object.assign(document.createElement("link"), { rel: "preload", as: "script", fetchPriority: "low", href: src });
    document.head.append(link);
  }
}

/** Runs the scripts of Dash in their order, once the functions are there that its callbacks name. */
async function bringDash(later) {
  const loaded = [...later.querySelectorAll("script[src]")].map(({ src }) => {
    const script = Object.assign(document.createElement("script"), { src, async: false });
    document.body.append(script);
    return new Promise((resolve) => {
      script.onload = script.onerror = resolve;
    });
  });
  await Promise.all([import("./main.mjs"), ...loaded]);
  const { id, text } = later.querySelector("script:not([src])");
  document.body.append(Object.assign(document.createElement("script"), { id, text }));
}

const complain = (error) => console.warn("The first charts are not sketched:", error);

async function begin() {
  const { content } = document.getElementById("later");
  // What cannot be sketched will be drawn all the same.
  const sketched = sketchAll().catch(complain);
  // After what the first charts wait for, which it would only hold up.
  void Promise.race([sketched, wait(HOLD_MS)]).then(() => fetchAhead(content));
  const isSketched = await Promise.race([sketched, wait(PATIENCE_MS)]);
  if (isSketched) await Promise.race([whole.catch(complain), wait(PATIENCE_MS)]);
  await bringDash(content);
}

void begin();
