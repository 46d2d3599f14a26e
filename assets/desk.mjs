// Everything the page does with charts that are drawn: their time axes and crosshair, the texts behind a candle, the
// order and size of charts, what is taken away. It knows nothing of how charts get their data, nor of Dash.

import * as arrangement from "./arrangement.mjs";
import * as axis from "./axis.mjs";
import * as crosshair from "./crosshair.mjs";
import * as link from "./link.mjs";
import * as painter from "./painter.mjs";
import * as place from "./place.mjs";
import { shade } from "./shade.mjs";
import { candleAt, chartOf, scaleOf, stageOf, stages, tickerOf, watch } from "./stage.mjs";
import * as zones from "./zones.mjs";

// A second click within this time means the range, not the candle.
const DOUBLE_MS = 500;

let page = null;
let view = null;
let zone = null;
let reader = null;
let hand = null;
let late = null;
let paintZone = () => {};
// The candle of the address, until its chart is drawn; then what the reader shows.
let open = null;
let clicked_ms = 0;
// Plotly tells of both clicks of a double one, a little before or after the browser does.
let doubled_ms = 0;

/** The zone in which times are told. */
export function zoneNow() {
  return (zone ??= zones.of(view));
}

/** An address with the candle whose texts are open. */
export function placed(search) {
  return place.format(search, open);
}

/** The page shows this view now; `search` is the address it came from, where it came from one. */
export function follow(next, search = null) {
  view = next;
  arrange(next);
  if (search !== null) {
    const wanted = place.parse(search);
    if (!wanted) reader?.close();
    open = wanted;
    if (open) for (const stage of stages()) reopen(stage);
  }
  const held = zone;
  zone = zones.of(view);
  if (held === null || held === zone) return;
  for (const stage of stages()) drawn(stage);
  crosshair.hide();
  reader?.zoned();
  paintZone();
  page.refill();
}

/**
 * Starts it all. `page` is what this needs of the page: act(action), which changes the view, move(start_ms, end_ms), by
 * which a hand brings the charts to a range, and refill().
 */
export function install(given) {
  page = given;
  open = place.parse(window.location.search);
  watch(meet);
  // Before anything is painted, so that no card is seen where it does not belong.
  new MutationObserver(() => view && arrange(view)).observe(document.getElementById("grid"), { childList: true });
  point();
  const bar = document.querySelector(".bar");
  // What stays below the bar has to know how many rows it takes.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  }).observe(bar);
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 200));
  idle(() => load(), { timeout: 1_500 });
}

/** Puts the cards in the order of the view, and makes the one in focus large. Dash knows nothing of either. */
function arrange(next) {
  const grid = document.getElementById("grid");
  if (!grid) return;
  const focus = arrangement.focusOf(next);
  if (focus) grid.dataset.focus = focus;
  else delete grid.dataset.focus;
  grid.style.setProperty("--smalls", Math.max(1, next.tickers.length - 1));
  const cards = [...grid.querySelectorAll(".card[data-ticker]")];
  for (const card of cards) card.toggleAttribute("data-large", card.dataset.ticker === focus);
  const placeOf = (card) => next.tickers.indexOf(card.dataset.ticker);
  const ordered = cards.toSorted((a, b) => placeOf(a) - placeOf(b));
  if (ordered.some((card, at) => card !== cards[at])) grid.append(...ordered);
}

function meet(chart) {
  const stage = chart.closest(".stage");
  chart.on("plotly_afterplot", () => drawn(stage));
  chart.on("plotly_relayout", () => drawn(stage));
  chart.on("plotly_relayouting", () => {
    drawn(stage);
    link.follow(chart, drew);
  });
  chart.on("plotly_click", (event) => click(stage, event));
  drawn(stage);
}

/** A chart was drawn or moved. */
export function drew(chart) {
  const stage = chart.closest(".stage");
  if (stage) drawn(stage);
}

function drawn(stage) {
  const chart = chartOf(stage);
  if (!chart) return;
  axis.paint(stage, chart, zoneNow());
  if (!painter.isPainting()) shade(chart);
  crosshair.refresh();
  if (reader?.place) reader.drew(chart);
  else reopen(stage);
}

function reopen(stage) {
  if (open && reader && open.ticker === tickerOf(stage) && chartOf(stage)) {
    reader.open(open.ticker, open.start_ms, { order: open.order, takeFocus: false });
  }
}

function click(stage, event) {
  const chart = chartOf(stage);
  const point = event.points?.find((each) => each.curveNumber === 0);
  const at = point?.pointIndex ?? point?.pointNumber;
  if (!chart || at === undefined || !(at in chart.data[0].x) || hand?.hasJustMoved()) return;
  clicked_ms = Date.now();
  void read(tickerOf(stage), chart.data[0].x[at]);
}

async function read(ticker, start_ms) {
  if (!reader) await load();
  if (Date.now() - doubled_ms > DOUBLE_MS) reader.open(ticker, start_ms);
}

function load() {
  late ??= begin();
  return late;
}

async function begin() {
  const { counting, glide, lists, mend, menu, picture, reader: reading, reorder, share, sources, walk } = await import(
    "./late.mjs"
  );
  const desk = {
    zone: zoneNow,
    view: () => view,
    act: page.act,
    table: page.table,
    scorers: page.scorers,
    placed,
    say,
    read,
    mark,
    unmark,
    markedOn: (stage) => (crosshair.marked()?.stage === stage ? crosshair.marked().moment_ms : null),
    show: (start_ms, end_ms) => page.act({ kind: "range", start_ms, end_ms }),
    move: page.move,
    picture: async (ticker) => {
      const made = await picture.pictureOf(ticker, zoneNow());
      if (made) picture.hand(made);
    },
  };
  reader = new reading.Reader({ ...desk, placed: settle });
  mend.keep(document.querySelector(".bar"));
  hand = glide;
  glide.listen(desk);
  menu.listen();
  counting.install(desk);
  lists.install(desk);
  reorder.install(desk);
  share.install(desk);
  sources.install();
  walk.listen(desk);
  paintZone = zones.install(desk);
  document.addEventListener("click", (event) => {
    const asked = event.target.closest?.("[data-action=picture]");
    if (asked) void desk.picture(asked.dataset.ticker);
    if (event.detail !== 2 || !event.target.closest?.(".nsewdrag")) return;
    doubled_ms = Date.now();
    if (doubled_ms - clicked_ms < DOUBLE_MS) reader.close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && reader.place) reader.close();
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select, textarea")) return;
    if (event.key === "f") enlarge();
    if (event.key !== "/") return;
    event.preventDefault();
    document.getElementById("tickers").click();
  });
  // Its charts may have been drawn before it was there.
  for (const stage of stages()) reopen(stage);
}

/** The chart that has the focus, or else is pointed at, becomes large, or small again. */
function enlarge() {
  const card = document.activeElement?.closest(".card[data-ticker]") ?? document.querySelector(".card[data-ticker]:hover");
  if (card) page.act({ kind: "focus", ticker: card.dataset.ticker });
}

/** The reader shows this now; null when it is closed. */
function settle(shown) {
  open = shown;
  if (!shown) unmark();
  const search = placed(window.location.search);
  if (search !== window.location.search) window.history.replaceState(window.history.state, "", search + window.location.hash);
}

function mark(stage, moment_ms) {
  crosshair.show({ stage, moment_ms, y: -1 }, zoneNow());
}

/** Takes the crosshair away, or back to the candle whose texts are open. */
function unmark() {
  const stage = open && reader?.place && stageOf(open.ticker);
  const held = crosshair.marked();
  if (!stage) crosshair.hide();
  else if (held?.stage !== stage || held.moment_ms !== open.start_ms || held.y >= 0) mark(stage, open.start_ms);
}

/** Says something to those who hear the page. */
function say(text) {
  document.getElementById("said").textContent = text;
}

/** Follows the pointer. */
function point() {
  document.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const stage = event.target.closest?.(".stage");
    const chart = stage && chartOf(stage);
    if (!chart) {
      if (!document.activeElement?.matches(".stage:focus-visible")) unmark();
      return;
    }
    const box = stage.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { left, width, moment_ms } = scaleOf(chart);
    if (x < left || x > left + width) unmark();
    else crosshair.show({ stage, moment_ms: snapped(chart, moment_ms(x)), y }, zoneNow());
  }, { passive: true });
  document.documentElement.addEventListener("pointerleave", unmark);
}

function snapped(chart, moment_ms) {
  const at = candleAt(chart, moment_ms);
  return at < 0 ? moment_ms : chart.data[0].x[at];
}
