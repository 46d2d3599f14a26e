// The functions that clientside callbacks name, and the few listeners on the page itself. Thin: what they decide is
// decided in the modules beside, which know nothing of Dash.

import * as action from "./action.mjs";
import * as average from "./average.mjs";
import * as chart from "./chart.mjs";
import * as clock from "./clock.mjs";
import * as desk from "./desk.mjs";
import { Live } from "./live.mjs";
import * as theme from "./theme.mjs";
import * as view from "./view.mjs";
import { dateText, momentOf, spanText, timeText } from "./zone.mjs";

// Long enough for the next turn of a wheel or the next short drag, so that only where the user comes to rest is asked
// for.
const REST_MS = 250;

const component = (type, props) => ({ namespace: "dash_html_components", type, props });
// Dash makes its "leave this output as it is" when it calls the first of these functions, not before.
const asIs = () => window.dash_clientside.no_update;

/** Sets properties of a component from outside a callback; Dash fails on that until its page is there. */
function set(id, props) {
  if (document.getElementById("grid")) window.dash_clientside.set_props(id, props);
}

const dash = {
  follow_view(search, known, tickers, resolution, range, asked, ...more) {
    const [, , , table, held, cards, fromDate, fromTime, toDate, toTime] = more;
    const nothing = Array(8).fill(asIs());
    if (!known) return nothing;
    const triggers = window.dash_clientside.callback_context.triggered.map((each) => each.prop_id);
    const by = (id) => triggers.includes(id);

    if (!held) {
      const first = view.parse(window.location.search, table, known);
      live.look(first, known);
      desk.install({ act, refill });
      desk.follow(first);
      return shown(first, null, cards, table, known, asIs());
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
    live.look(next, known);
    desk.follow(next, by("url.search") ? search : null);
    if (view.same(next, held)) return by("known.data") ? nothing.with(1, view.options(held, known)) : nothing;
    return shown(next, held, cards, table, known, by("url.search") ? asIs() : desk.placed(view.format(next)));
  },

  fill_span(span) {
    if (!span) return Array(5).fill(asIs());
    live.shows(span);
    const zone = desk.zoneNow();
    const text = spanText(span.start_ms, span.end_ms, zone, { inFull: true });
    // Fields the user is filling in are left alone.
    if (document.getElementById("span")?.open) return [text, ...Array(4).fill(asIs())];
    const fields = [span.start_ms, span.end_ms].flatMap((each_ms) => [dateText(each_ms, zone), timeText(each_ms, zone)]);
    return [text, ...fields];
  },

  press(event, table) {
    const asked = action.fromKey(event, table);
    if (asked?.kind !== "average") return asked ?? asIs();
    average.toggle();
    return asIs();
  },

  set_look(clicks) {
    return look(clicks ? theme.toggle() : theme.current());
  },

  set_clock(heard) {
    if (!heard) return asIs();
    clock.set(heard.now_ms);
    clock.paint();
    live.told(heard);
    live.heard();
    return asIs();
  },

  read_out(hover, figure) {
    live.drew();
    return chart.figures(hover, figure).map(([name, text, tone]) =>
      component("Span", { className: tone, children: [component("I", { children: name }), text] }),
    );
  },

  settle() {
    const { triggered } = window.dash_clientside.callback_context;
    const range = triggered.map((each) => chart.rangeOf(each.value)).find(Boolean);
    if (range) atRest({ kind: "range", start_ms: range[0], end_ms: range[1] });
    return asIs();
  },
};

/** What charts have to know of this screen: its theme, and whether a finger is what points. */
function look(name) {
  return { theme: name, touch: window.matchMedia("(pointer: coarse)").matches };
}

/** The outputs of follow_view for a new view. Cards of tickers that stay are kept as they are, charts and all. */
function shown(next, held, cards, table, known, search) {
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
    sameCards ? asIs() : next.tickers.map((ticker) => keptCard(cards, ticker) ?? newCard(table, ticker)),
    `grid ${gridSize(next.tickers.length)}`,
  ];
}

function gridSize(charts) {
  if (charts <= 4) return `grid-${charts}`;
  return charts <= 9 ? "grid-some" : "grid-many";
}

function keptCard(cards, ticker) {
  return [cards].flat().find((card) => card?.props?.["data-ticker"] === ticker);
}

function newCard(table, ticker) {
  return filled(table.card, ticker, table.ticker_place);
}

/** A copy of the card template with a ticker in its places. */
function filled(node, ticker, place) {
  if (typeof node === "string") return node.replaceAll(place, ticker);
  if (Array.isArray(node)) return node.map((each) => filled(each, ticker, place));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, filled(value, ticker, place)]));
}

function act(asked) {
  set("action", { data: asked });
}

/** Tells the range in view once more, on other clocks. */
function refill() {
  const span = window.dash_component_api.getLayout("window")?.props?.data;
  if (span) set("window", { data: { ...span } });
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

const cardOf = (ticker) => document.querySelector(`.card[data-ticker="${CSS.escape(ticker)}"]`);

/** What the live stream needs of the page. */
const page = {
  // The figure as Dash has it, so that whatever is drawn next is drawn from the same one.
  figureOf(ticker) {
    if (!cardOf(ticker)?.querySelector(".graph")) return null;
    return window.dash_component_api.getLayout({ type: "chart", ticker })?.props?.figure ?? null;
  },

  show(ticker, figure) {
    set({ type: "chart", ticker }, { figure });
  },

  isSeen(ticker) {
    const box = cardOf(ticker)?.getBoundingClientRect();
    return Boolean(box) && box.bottom > 0 && box.top < window.innerHeight;
  },

  // A chart that is drawn anew while it is dragged would slip from under the pointer.
  isBusy: () => pressed || rest !== null,

  ask() {
    const asked = window.dash_component_api.getLayout("tick")?.props?.n_intervals ?? 0;
    set("tick", { n_intervals: asked + 1 });
  },

  pollEvery(ms) {
    usual_ms ??= window.dash_component_api.getLayout("tick")?.props?.interval ?? null;
    if (usual_ms !== null) set("tick", { interval: ms ?? usual_ms });
  },

  colours() {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(["rising", "falling", "flat"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
  },

  reload() {
    set("pulse", { data: { resync_ms: Date.now() } });
  },
};
let usual_ms = null;

function listen() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-action]");
    const asked = button && action.fromButton(button);
    if (asked?.kind === "average") average.toggle();
    else if (asked) act(asked);
    // Plotly lays a sheet over the page while a button is down, so there is no dblclick; but it counts the clicks.
    if (event.detail === 2 && event.target.closest?.(".nsewdrag")) act({ kind: "preset", name: "fit" });
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
    set("tick", { disabled: document.hidden });
  });
  theme.onSystemChange((name) => set("look", { data: look(name) }));
  setInterval(() => {
    clock.paint();
    live.paint();
  }, 1000);
}

const live = new Live(page);
window.dash_clientside.tickertone = dash;
listen();
