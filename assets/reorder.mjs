// The order of the charts: dragged by their heads, or moved with arrow keys from the handle in them.

const AWAY_PX = 6; // less is a click

/** `desk` is what this needs: view(), act(action) and say(text). */
export function install(desk) {
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const head = event.target.closest?.(".card-head");
    const handle = event.target.closest?.(".act-move");
    const byFinger = event.pointerType !== "mouse";
    if (!head || event.button !== 0 || (event.target.closest(".tools") && !handle) || (byFinger && !handle)) return;
    const card = head.closest(".card[data-ticker]");
    if (card) drag = { card, from: [event.clientX, event.clientY], target: null, moves: false, id: event.pointerId };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const [dx, dy] = [event.clientX - drag.from[0], event.clientY - drag.from[1]];
    if (!drag.moves && Math.hypot(dx, dy) < AWAY_PX) return;
    drag.moves = true;
    document.documentElement.classList.add("reordering");
    drag.card.classList.add("carried");
    drag.card.style.transform = `translate(${dx}px, ${dy}px)`;
    aim(drag, document.elementsFromPoint(event.clientX, event.clientY));
  });
  const end = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const { card, target, moves } = drag;
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
