// How the live sources are, below the badge that says how live the page is.

import { make } from "./element.mjs";
import * as menu from "./menu.mjs";

const EVERY_MS = 10_000;
const ADDRESS = "/api/v2/sources";

let timer = null;

export function install() {
  menu.onOpen("health", show, () => clearTimeout(timer));
}

async function show(root) {
  clearTimeout(timer);
  const told = await ask();
  const opened = document.getElementById("health");
  if (!opened.open) return;
  root.replaceChildren(make("h2", { textContent: "Sources" }), ...contents(told));
  timer = setTimeout(() => show(root), EVERY_MS);
}

/** What the server tells: its sources, or a sentence on why there are none. */
async function ask() {
  try {
    const answer = await fetch(ADDRESS, { headers: { Accept: "application/json" } });
    if (answer.status === 404) return "This server does not tell how its sources are.";
    const told = await answer.json();
    if (!answer.ok) return told.message ?? `The server answered ${answer.status}.`;
    if (!Array.isArray(told.sources) || !told.sources.length) {
      return "No live source is polled here. What is pushed or ingested appears all the same.";
    }
    return told.sources;
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return "The server cannot be reached.";
    throw error;
  }
}

function contents(told) {
  if (typeof told === "string") return [make("p", { className: "quiet", textContent: told })];
  const head = ["Source", "Last answer", "Lag", "Errors"].map((textContent) => make("th", { scope: "col", textContent }));
  return [make("table", { className: "sources" }, make("thead", {}, make("tr", {}, head)), make("tbody", {}, told.map(row)))];
}

function row(source) {
  const state = stateOf(source);
  const last = source.last_success ? `${ageText((Date.now() - Date.parse(source.last_success)) / 1000)} ago` : "never";
  const lag = Number.isFinite(source.lag_s) ? ageText(source.lag_s) : "–";
  const name = make("th", { scope: "row" }, make("i", { className: `dot ${state}` }), String(source.name ?? ""),
    make("span", { className: "said", textContent: ` (${state})` }));
  const errors = make("td", { textContent: String(source.errors ?? "–") });
  if (source.last_error) errors.title = String(source.last_error);
  return make("tr", {}, name, make("td", { textContent: last }), make("td", { textContent: lag }), errors);
}

/** well, failing (its last poll failed) or waiting (it has not answered yet). */
export function stateOf(source) {
  if (source.is_failing) return "failing";
  return source.last_success ? "well" : "waiting";
}

/** An age in its largest unit. */
export function ageText(seconds) {
  const age_s = Math.max(0, Math.round(seconds));
  if (age_s < 120) return `${age_s} s`;
  if (age_s < 7_200) return `${Math.floor(age_s / 60)} min`;
  return age_s < 172_800 ? `${Math.floor(age_s / 3600)} h` : `${Math.floor(age_s / 86_400)} d`;
}
