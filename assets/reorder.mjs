// The order of the charts: dragged by their heads (a finger rests on one first), or moved with arrow keys from the handle
// in them.

const AWAY_PX = 6; // less is a click
const REST_MS = 350; // a finger that goes on sooner scrolls the page
// So near to the edge of the screen the page scrolls under what is carried.
const EDGE_PX = 56;
const MOST_PX_A_FRAME = 14;

/** How far the page scrolls in a frame while something is carried at a height of the screen. */
export function creep(y, height) {
  const beyond = y < EDGE_PX ? y - EDGE_PX : Math.max(0, y - (height - EDGE_PX));
  return Math.max(-1, Math.min(1, beyond / EDGE_PX)) * MOST_PX_A_FRAME;
}

/** `desk` is what this needs: view(), act(action) and say(text). */
export function install(desk) {
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const head = event.target.closest?.(".card-head");
    const handle = event.target.closest?.(".act-move");
    if (drag || !head || event.button !== 0 || (event.target.closest(".tools") && !handle)) return;
    const card = head.closest(".card[data-ticker]");
    if (!card || desk.view().tickers.length < 2) return;
    drag = { card, from: [event.clientX, event.clientY + window.scrollY], target: null, moves: false, id: event.pointerId };
    if (event.pointerType === "mouse" || handle) return;
    drag.rest = setTimeout(() => {
      drag.rest = null;
      carry(drag, event);
    }, REST_MS);
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const away = Math.hypot(event.clientX - drag.from[0], event.clientY + window.scrollY - drag.from[1]);
    if (!drag.moves && away < AWAY_PX) return;
    if (drag.rest) end(event); // the finger scrolls
    else carry(drag, event);
  });
  // The page must not scroll under a finger that carries a chart.
  document.addEventListener("touchmove", (event) => drag?.moves && event.cancelable && event.preventDefault(), {
    passive: false,
  });
  document.addEventListener("contextmenu", (event) => drag && event.preventDefault());
  const end = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const { card, target, moves } = drag;
    clearTimeout(drag.rest);
    cancelAnimationFrame(drag.frame);
    aim(drag, []);
    drag = null;
    card.classList.remove("carried");
    card.style.transform = "";
    document.documentElement.classList.remove("reordering");
    if (!moves || !target || event.type !== "pointerup") return;
    move(desk, card.dataset.ticker, desk.view().tickers.indexOf(target.dataset.ticker));
  };
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);
  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.(".act-move");
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!handle || !step) return;
    event.preventDefault();
    const { ticker } = handle.dataset;
    move(desk, ticker, desk.view().tickers.indexOf(ticker) + step);
    // React moves the card, and the focus is lost on the way.
    requestAnimationFrame(() => setTimeout(() => {
      document.querySelector(`.card[data-ticker="${CSS.escape(ticker)}"] .act-move`)?.focus();
    }, 0));
  });
}

/** The card follows the pointer, and near the edges of the screen the page follows both. */
function carry(drag, { clientX, clientY }) {
  if (!drag.moves) document.documentElement.classList.add("reordering");
  drag.moves = true;
  drag.card.classList.add("carried");
  const [dx, dy] = [clientX - drag.from[0], clientY + window.scrollY - drag.from[1]];
  drag.card.style.transform = `translate(${dx}px, ${dy}px)`;
  aim(drag, document.elementsFromPoint(clientX, clientY));
  const by_px = creep(clientY, window.innerHeight);
  cancelAnimationFrame(drag.frame);
  if (!by_px) return;
  drag.frame = requestAnimationFrame(() => {
    const before = window.scrollY;
    window.scrollBy({ top: by_px, behavior: "instant" });
    if (window.scrollY !== before) carry(drag, { clientX, clientY });
  });
}

function aim(drag, under) {
  const target = under.map((each) => each.closest(".card[data-ticker]")).find((card) => card && card !== drag.card) ?? null;
  if (drag.target === target) return;
  drag.target?.classList.remove("before", "after");
  drag.target = target;
  if (!target) return;
  const isBehind = drag.card.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_FOLLOWING;
  target.classList.add(isBehind ? "after" : "before");
}

function move(desk, ticker, to) {
  const { tickers } = desk.view();
  const place = Math.max(0, Math.min(tickers.length - 1, to));
  if (tickers[place] === ticker) return;
  desk.act({ kind: "move", ticker, to: place });
  desk.say(`${ticker} is now ${place + 1} of ${tickers.length}.`);
}
