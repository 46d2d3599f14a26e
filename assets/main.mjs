// The functions that clientside callbacks name, and the few listeners on the page itself. Thin: what they decide is
// decided in the modules beside, which know nothing of Dash.

import * as action from "./action.mjs";
import * as average from "./average.mjs";
import { gridOf } from "./arrangement.mjs";
import { Board } from "./board.mjs";
import * as chart from "./chart.mjs";
import * as choice from "./choice.mjs";
import * as clock from "./clock.mjs";
import * as desk from "./desk.mjs";
import * as ground from "./ground.mjs";
import { Live } from "./live.mjs";
import * as offline from "./offline.mjs";
import * as painter from "./painter.mjs";
import * as readout from "./readout.mjs";
import * as sketches from "./sketches.mjs";
import { met } from "./start.mjs";
import * as theme from "./theme.mjs";
import * as view from "./view.mjs";
import { dateText, momentOf, spanText, timeText } from "./zone.mjs";

// Long enough for the next turn of a wheel or the next short drag, so that only where the user comes to rest is asked
// for.
const REST_MS = 250;
const REMEMBER_MS = 20_000;
// When the page is at rest: what is too much, or of another store, leaves the shelf.
const PRUNE_AFTER_MS = 15_000;
// As many as a large screen holds.
const FIRST_CHARTS = 12;

// Dash makes its "leave this output as it is" when it calls the first of these functions, not before.
const asIs = () => window.dash_clientside.no_update;

/** Sets properties of a component from outside a callback; says whether Dash has such a component at this moment. */
function set(id, props) {
  const isThere = document.getElementById("grid") !== null && knows(id);
  if (isThere) window.dash_clientside.set_props(id, props);
  return isThere;
}

/** A card may be on the page already, or still, while Dash does not know it. */
function knows(id) {
  try {
    return window.dash_component_api.getLayout(id) !== undefined;
  } catch (error) {
    if (error instanceof TypeError) return false; // what it makes of an id that it has no place for
    throw error;
  }
}

const dash = {
  follow_view(search, told, tickers, resolution, range, asked, ...more) {
    const [, , , , held, cards, fromDate, fromTime, toDate, toTime] = more;
    const nothing = Array(8).fill(asIs());
    if (!hasAsked) afterPaint("pulse", page.ask);
    hasAsked = true;
    const known = told ?? kept?.known; // until the server has said what it has
    if (!known) return nothing;
    const triggers = window.dash_clientside.callback_context.triggered.map((each) => each.prop_id);
    const by = (id) => triggers.includes(id);

    if (!held) {
      const first = view.parse(window.location.search, table, known);
      desk.install({ act: ask, move, refill, table, scorers: () => scorers });
      look(first, known);
      afterPaint("remember", remember);
      return shown(first, null, cards, known, asIs());
    }
    let next = held;
    if (by("url.search")) next = view.parse(search, table, known);
    else if (by("tickers.value")) next = view.withTickers(held, tickers, table);
    else if (by("resolution.value") && resolution) next = view.withResolution(held, resolution, table, known);
    else if (by("range.value") && range) next = view.withPreset(held, range, table, known);
    else if (by("action.data") && asked) next = action.apply(held, asked, table, known);
    else if (by("apply.n_clicks") || by("from-time.n_submit") || by("to-time.n_submit")) {
      const [start_ms, end_ms] = [momentOf(fromDate, fromTime, desk.zoneNow()), momentOf(toDate, toTime, desk.zoneNow())];
      if (start_ms === null || end_ms === null || start_ms >= end_ms) {
        const children = "From and to: dates, times as HH:MM, and from before to.";
        set("notice", { children });
        return nothing;
      }
      document.getElementById("span")?.removeAttribute("open");
      next = view.withRange(held, start_ms, end_ms);
    }
    look(next, known, by("url.search") ? search : null);
    if (view.same(next, held)) return by("known.data") ? nothing.with(1, view.options(held, known)) : nothing;
    return shown(next, held, cards, known, by("url.search") ? asIs() : desk.placed(view.format(next)));
  },

  fill_span(span) {
    if (!span) return Array(5).fill(asIs());
    const zone = desk.zoneNow();
    const text = spanText(span.start_ms, span.end_ms, zone, { inFull: true });
    // Fields the user is filling in are left alone.
    if (document.getElementById("span")?.open) return [text, ...Array(4).fill(asIs())];
    const fields = [span.start_ms, span.end_ms].flatMap((each_ms) => [dateText(each_ms, zone), timeText(each_ms, zone)]);
    return [text, ...fields];
  },

  press(event) {
    if (action.fromKey(event, table)?.kind === "average") average.toggle();
    return asIs();
  },

  set_look(clicks) {
    const name = clicks ? theme.toggle() : theme.current();
    if (clicks) board.restyle();
    return lookOf(name);
  },

  tell_trouble(pulse) {
    if (!pulse?.trouble && !isTroubled) return asIs();
    isTroubled = Boolean(pulse?.trouble);
    return pulse?.trouble ?? null;
  },

  set_clock(heard) {
    if (!heard) return asIs();
    clock.set(heard.now_ms);
    clock.paint();
    board.scorer = heard.scorer;
    scorers = heard.scorers;
    live.told(heard);
    live.heard();
    remember();
    return asIs();
  },
};

/** A view is looked at: the stream has to hear of it before the charts do, so that nothing falls in between. */
function look(next, known, search = null) {
  if (board.view && next.scorer !== board.view.scorer) {
    // Everything here is of one scorer, the stream included: a page of the other one begins anew.
    window.location.assign(desk.placed(view.format(next)));
    return;
  }
  live.look({ ...next, tickers: view.symbols(next, table) }, known);
  sketches.clear(next);
  if (board.view && !view.same(board.view, next) && document.getElementById("notice")?.textContent) {
    afterPaint("notice", () => set("notice", { children: null })); // what it said was about another view
  }
  board.show(next, known);
  desk.follow(next, search);
  count();
}

/** Says on the page what is counted. */
function count() {
  const summary = document.querySelector("#counting > summary");
  if (!summary) return;
  const text = choice.statement(board.view, table, cache.complete_ms);
  if (summary.textContent !== text) summary.textContent = text;
  summary.classList.toggle("chosen", Boolean(board.view.variant || board.view.scorer));
}
let scorers = [];

/** Goes to a view: its charts are drawn and on the screen before Dash hears of it, for that takes it a while. */
function go(next) {
  look(next, board.known);
  afterPaint("action", () => act({ kind: "view", view: next }));
}

/** Does something when the next frame is on the screen; of several things of one name, the last. */
function afterPaint(name, act) {
  if (!waiting.size) requestAnimationFrame(() => setTimeout(flush, 0));
  waiting.set(name, act);
}
const waiting = new Map();

function flush() {
  const acts = [...waiting.values()];
  waiting.clear();
  for (const each of acts) each();
}

const coarse = window.matchMedia("(pointer: coarse)");

/** What charts have to know of this screen: its theme, and whether a finger is what points. */
function lookOf(name) {
  return { theme: name, touch: coarse.matches };
}

/** The outputs of follow_view for a new view. Cards of tickers that stay are kept as they are, charts and all. */
function shown(next, held, cards, known, search) {
  const alike = held !== null && view.same(next.tickers, held.tickers);
  // Dash makes all cards anew when it gets another list of them; in another order they are only moved (desk.mjs).
  const sameCards = held !== null && view.same(next.tickers.toSorted(), held.tickers.toSorted());
  return [
    search,
    alike ? asIs() : view.options(next, known),
    next.tickers,
    next.resolution,
    next.range,
    next,
    sameCards ? asIs() : next.tickers.map((ticker, at) => keptCard(cards, ticker) ?? newCard(ticker, at)),
    `grid ${gridOf(next.tickers.length)}`,
  ];
}

function keptCard(cards, ticker) {
  return [cards].flat().find((card) => card?.props?.["data-ticker"] === ticker);
}

/** The card of a ticker, with its chart where that can be drawn from what is here. */
function newCard(ticker, at) {
  const card = filled(table.card, { [table.ticker_place]: ticker });
  const figure = at < FIRST_CHARTS ? board.figureOf(ticker) : null;
  if (figure) plotOf(card).props.children = canvas(ticker, figure);
  return card;
}

/** The place for the chart in a card. */
function plotOf(card) {
  const stage = card.props.children.find(({ props }) => props.className === "stage");
  return stage.props.children.find(({ props }) => props.className === "plot");
}

/** The chart of a ticker as a component, over its skeleton. */
function canvas(ticker, figure) {
  const made = filled(table.canvas, { [table.ticker_place]: ticker });
  made.at(-1).props.figure = figure;
  return made;
}

/** Writes the line of figures into the head of a chart: of the candle under the pointer, or the newest in view. */
function readOut(ticker) {
  const plot = page.chartOf(ticker);
  const line = cardOf(ticker)?.querySelector(".readout");
  if (!line || !plot) return;
  const hover = plot._hoverdata && { points: plot._hoverdata };
  const figures = chart.figures(hover, plot.data?.[0], board.window?.stop_ms);
  readout.write(line, figures);
}

/** A copy of a template of components with values in their places. */
function filled(node, values) {
  if (typeof node === "string") {
    if (node in values) return values[node];
    return Object.entries(values).reduce((text, [place, value]) => text.replaceAll(place, value), node);
  }
  if (Array.isArray(node)) return node.map((each) => filled(each, values));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, filled(value, values)]));
}

/** A first visit begins with what the server has; its candles are on their way while Dash is still starting. */
function begin({ known, scorer, revision }) {
  if (board.view) return;
  kept = { known, scorer };
  live.met(revision);
  board.scorer = scorer;
  board.prepare(view.parse(window.location.search, table, known), known);
  set("known", { data: known }); // where Dash has asked already
}

/** Keeps what the next visit begins with, while the server has not answered it yet. */
function remember() {
  if (!board.known.length || Date.now() - remembered_ms < REMEMBER_MS) return;
  remembered_ms = Date.now();
  void shelf.note(kept_as, { known: board.knownNow, scorer: cache.scorer, heard_ms: remembered_ms });
}
let remembered_ms = 0;
let hasAsked = false;
let isTroubled = false;

function act(asked) {
  set("action", { data: asked });
}

function ask(asked) {
  if (board.view) go(action.apply(board.view, asked, table, board.known));
  else act(asked);
}

/** A hand brings the charts to a range; the address follows when it rests. */
function move(start_ms, end_ms) {
  board.ranged(start_ms, end_ms);
  atRest({ kind: "range", start_ms, end_ms });
}

/** Tells the range in view once more, on other clocks. */
function refill() {
  if (spanTold) set("window", { data: { ...spanTold } });
}

let rest = null;
let pressed = false;
function atRest(asked) {
  clearTimeout(rest);
  rest = setTimeout(() => {
    rest = null;
    if (pressed) atRest(asked);
    else act(asked);
  }, REST_MS);
}

/** The card of a ticker; what is asked with every tick is not searched for each time. */
function cardOf(ticker) {
  const held = found.get(ticker);
  if (held?.isConnected && held.dataset.ticker === ticker) return held;
  const card = document.querySelector(`.card[data-ticker="${CSS.escape(ticker)}"]`);
  if (card) found.set(ticker, card);
  else found.delete(ticker);
  return card;
}
const found = new Map();

/** What the board and the live stream need of the page. */
const page = {
  chartOf(ticker) {
    return cardOf(ticker)?.querySelector(".js-plotly-plot") ?? null;
  },

  hasCard: (ticker) => cardOf(ticker) !== null,

  isSeen(ticker) {
    const card = cardOf(ticker);
    if (!card) return false;
    if (!seen.has(card)) {
      const box = card.getBoundingClientRect();
      seen.set(card, box.bottom > 0 && box.top < window.innerHeight);
      sight.observe(card);
    }
    return seen.get(card);
  },

  // A chart that is drawn anew while it is dragged would slip from under the pointer.
  isBusy: () => pressed || rest !== null,

  look: () => lookOf(theme.current()),

  /** Brings a chart where there is none yet; says whether there is a place for it. */
  place(ticker, figure) {
    return set({ type: "plot", ticker }, { children: canvas(ticker, figure) });
  },

  /** Asks the server to draw, or to say why it cannot; no tickers at all it has something to say about, too. */
  askServer(tickers) {
    for (const ticker of tickers) asking.add(ticker);
    for (const ticker of tickers) sketches.leave(ticker);
    afterPaint("asked", sendAsked);
  },

  told(span) {
    if (!view.same(span, spanTold)) afterPaint("window", () => set("window", { data: span }));
    spanTold = span;
  },

  /** What stands around a chart: how far its open bucket is, and a word where it shows less than was asked for. */
  strip(ticker, span, open_ms) {
    const { resolution } = board.view;
    const isCut = span.asked_ms < span.start_ms;
    const print = JSON.stringify([open_ms !== null && [resolution, open_ms], isCut && [resolution, span.start_ms]]);
    const place = cardOf(ticker)?.querySelector(".strip");
    if (!place || place.dataset.print === print) return;
    if (!place.dataset.print && !place.children.length && print === "[false,false]") return;
    place.dataset.print = print;
    const width_ms = cache.widthOf(resolution);
    const since = view.iso(span.start_ms).slice(0, 16).replace("T", " ");
    const { places } = table;
    const values = {
      [places.resolution]: resolution,
      [places.start]: open_ms,
      [places.end]: open_ms + width_ms,
      [places.since]: since,
      [places.coarser]: view.finestForAll(span, table),
    };
    const children = [
      open_ms === null ? null : filled(table.progress, values),
      isCut ? filled(table.cut, values) : null,
    ];
    afterPaint(`strip ${ticker}`, () => set({ type: "strip", ticker }, { children }));
  },

  readOut,

  drew(plot) {
    desk.drew(plot);
    sketches.leave(plot.layout.meta.ticker);
  },

  /** The chart has been drawn for the first time: its events are heard here, and by Dash no more. */
  hear(plot) {
    // Dash would write the range into its own copy of the figure with each of them, and draw from that one day.
    plot.removeAllListeners("plotly_relayout");
    plot.on("plotly_relayout", (changes) => {
      desk.drew(plot);
      if ("xaxis.range" in changes) return; // drawn by the board, not by hand
      const range = chart.rangeOf(changes);
      if (range) move(...range);
    });
    const { ticker } = plot.layout.meta;
    for (const name of ["plotly_hover", "plotly_unhover"]) plot.on(name, () => readOut(ticker));
    let drawn = plot.data;
    plot.on("plotly_afterplot", () => {
      if (plot.data === drawn) return;
      drawn = plot.data;
      board.adopt(ticker); // by Dash, from the server
    });
  },

  put: (rows) => board.put(rows),
  watched: (resolution) => board.watched(resolution),
  follow: () => board.follow(),
  again: () => board.again(),
  age: () => board.age(),

  ask() {
    const asked = window.dash_component_api?.getLayout("tick")?.props?.n_intervals ?? 0;
    set("tick", { n_intervals: asked + 1 });
  },

  pollEvery(ms) {
    usual_ms ??= window.dash_component_api?.getLayout("tick")?.props?.interval ?? null;
    if (usual_ms !== null) set("tick", { interval: ms ?? usual_ms });
  },
};
let spanTold = null;
const asking = new Set();

/** Sends what the server is asked for, as soon as there are cards for its answers. */
function sendAsked() {
  const { tickers } = board.view;
  for (const ticker of asking) if (!tickers.includes(ticker)) asking.delete(ticker);
  const ready = [...asking].filter(page.hasCard);
  for (const ticker of ready) asking.delete(ticker);
  if (ready.length || !tickers.length) {
    set("asked", { data: { tickers: ready, view: board.view, at_ms: performance.now() } });
  }
  if (asking.size) afterPaint("asked", sendAsked);
}
// Which cards are in sight, as the browser tells: to ask where one is makes it lay out the page.
const seen = new WeakMap();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen.set(target, isIntersecting);
  board.look();
});
let usual_ms = null;

function listen() {
  // Choices that change the view are drawn at once; Dash hears of them when they are on the screen.
  document.addEventListener(
    "click",
    (event) => {
      const name = event.target.closest?.("#resolution, #range")?.id;
      if (!board.view || !name || event.target.type !== "radio") return;
      event.stopImmediatePropagation();
      const choose = name === "range" ? view.withPreset : view.withResolution;
      go(choose(board.view, event.target.value, table, board.known));
    },
    { capture: true },
  );
  window.addEventListener(
    "keydown",
    (event) => {
      const { key, altKey, ctrlKey, metaKey, repeat, target } = event;
      const told = { key, altKey, ctrlKey, metaKey, repeat, "target.tagName": target.tagName, "target.type": target.type };
      const asked = action.fromKey(told, table);
      if (!board.view || !asked || asked.kind === "average") return;
      event.stopImmediatePropagation();
      go(action.apply(board.view, asked, table, board.known));
    },
    { capture: true },
  );
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-action]");
    const asked = button && action.fromButton(button);
    if (asked?.kind === "average") average.toggle();
    else if (asked) ask(asked);
    // Plotly lays a sheet over the page while a button is down, so there is no dblclick; but it counts the clicks.
    if (event.detail === 2 && event.target.closest?.(".nsewdrag")) ask({ kind: "preset", name: "fit" });
  });
  document.addEventListener("pointerdown", () => (pressed = true), { capture: true });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => (pressed = false), { capture: true });
  }
  // Where several charts scroll past, the wheel scrolls the page; with Ctrl, or on a chart alone or large, it zooms.
  document.addEventListener(
    "wheel",
    (event) => {
      const isLarge = document.querySelector(".grid-1") || event.target.closest?.("[data-large]");
      const scrolls = !event.ctrlKey && !isLarge;
      if (scrolls && event.target.closest?.(".graph")) event.stopPropagation();
    },
    { capture: true, passive: true },
  );
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) void board.save(); // it may be closed, or ended, and not be seen again
    set("tick", { disabled: document.hidden });
  });
  theme.onSystemChange((name) => {
    board.restyle();
    set("look", { data: lookOf(name) });
  });
  setInterval(() => {
    clock.paint();
    live.paint();
  }, 1000);
}

const { table, blanks, about, shelf, chosen, kept_as, cache } = ground;
let { kept } = ground;
const board = new Board(page, table, blanks, cache);
board.loader = ground.loader;
painter.whenLoaded((plotly) => painter.install(plotly));
if (kept) {
  board.scorer = kept.scorer;
  await board.warm(view.parse(window.location.search, table, kept.known), kept.known);
}
const live = new Live(page, kept?.heard_ms, chosen);
ground.listen((news) => {
  if (!news.error) live.heard();
  if (news.revision) live.met(news.revision);
  board.arrived(news);
  if (board.view?.variant) count();
});
void met.then((told) => told && begin(told));
// Dash adds its own to it, now or when it comes.
window.dash_clientside = Object.assign(window.dash_clientside ?? {}, { tickertone: dash });
void offline.prepare();
setTimeout(() => void shelf.prune((key) => !key.startsWith(`${about.form}|${about.store}|`)), PRUNE_AFTER_MS);
window.tickertone = { board, cache }; // for whoever looks into the page from its console
listen();
