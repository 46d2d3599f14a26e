// What can be taken away: the address of just this view, the candles and texts in view as files, charts as pictures.

import { at } from "./address.mjs";
import { make } from "./element.mjs";
import * as menu from "./menu.mjs";
import { chartOf, scaleOf, stages } from "./stage.mjs";
import * as view from "./view.mjs";

const WHATS = [["buckets", "Candles"], ["scores", "Scores"], ["items", "Texts"]];
const FORMS = [["csv", "CSV"], ["parquet", "Parquet"], ["arrow", "Arrow"], ["jsonl", "JSON"]];

/** `desk` is what this needs: view(), zone(), chosen(), which is the zone if one was chosen, place() and picture(ticker). */
export function install(desk) {
  menu.onOpen("share", (root) => fill(root, desk));
}

/** The range in view, and the width of its buckets; null where no chart is drawn. */
function inView() {
  const chart = stages().map(chartOf).find(Boolean);
  if (!chart) return null;
  const { start_ms, end_ms } = scaleOf(chart);
  return { start_ms, end_ms, width_ms: chart.layout.meta.width_ms };
}

/** The address under which everyone sees what is seen here, whenever: times are absolute, and so is the zone. */
export function addressOf(held, range, zone, withPlace) {
  const fixed = range ? view.withRange(held, range.start_ms, range.end_ms) : held;
  return withPlace(view.format({ ...fixed, zone }));
}

/** The address of an export of what is in view, and counted. A bucket is in it when any of it is in view. */
export function exportOf(held, range, what, form) {
  const first_ms = Math.floor(range.start_ms / range.width_ms) * range.width_ms;
  const asked = { tickers: held.tickers.join(","), start: view.iso(first_ms), end: view.iso(range.end_ms), format: form };
  if (held.scorer) asked.scorer = held.scorer;
  if (what === "buckets") asked.resolution = held.resolution;
  if (held.variant) asked.variant = held.variant;
  return at(`/api/v2/export?${new URLSearchParams({ ...asked, what })}`);
}

function fill(root, desk) {
  const held = desk.view();
  const range = inView();
  const address = new URL(addressOf(held, range, desk.zone(), desk.placed), window.location.href).href;
  const field = make("input", { type: "text", readOnly: true, value: address, aria: { label: "Address of this view" } });
  field.addEventListener("focus", () => field.select());
  const copy = make("button", { className: "act", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    field.select();
    copy.textContent = (await copied(address)) ? "Copied" : "Press Ctrl+C";
  });
  const links = ([what, title]) =>
    make("div", { className: "files" },
      make("span", { textContent: title }),
      FORMS.map(([form, name]) => make("a", { className: "act", href: exportOf(held, range, what, form), download: "", textContent: name })));
  const pictures = stages().filter(chartOf).map((stage) => stage.closest(".card").dataset.ticker);
  root.replaceChildren(
    make("h2", { textContent: "This view, at these times" }),
    make("div", { className: "line" }, field, copy),
    ...(range && held.tickers.length
      ? [
          make("h2", { textContent: "Export what is in view" }),
          ...WHATS.map(links),
          make("div", { className: "files" }, make("span", { textContent: "Picture" }),
            pictures.slice(0, MOST_PICTURES).map((ticker) => make("button", { className: "act", textContent: ticker, onclick: () => desk.picture(ticker) }))),
        ]
      : []),
  );
}

// More charts than a menu is wide have the button on themselves.
const MOST_PICTURES = 12;

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed here, as on a page without TLS
  }
}
