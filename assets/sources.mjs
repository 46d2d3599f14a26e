// How the live sources and the jobs of the store are, below the badge that says how live the page is.

import { at } from "./address.mjs";
import { make } from "./element.mjs";
import * as menu from "./menu.mjs";

const EVERY_MS = 10_000;
const NO_SOURCES = "No live source is polled here. What is pushed or ingested appears all the same.";
const NO_JOBS = "No job of this store was ever done.";

let timer = null;

export function install() {
  menu.onOpen("health", show, () => clearTimeout(timer));
}

async function show(root) {
  clearTimeout(timer);
  const [sources, jobs] = await Promise.all([ask("sources", NO_SOURCES), ask("jobs", NO_JOBS)]);
  const opened = document.getElementById("health");
  if (!opened.open) return;
  const done = Array.isArray(jobs) ? jobs.filter((job) => job.runs || job.is_running) : jobs;
  root.replaceChildren(
    make("h2", { textContent: "Sources" }), contents(sources, ["Source", "Last answer", "Lag", "Errors"], row),
    make("h2", { textContent: "Jobs" }), contents(done.length ? done : NO_JOBS, ["Job", "Last run", "Took", "Next"], jobRow),
    make("p", {}, make("a", { href: at("/health"), textContent: "What is wrong, and what to do" })));
  timer = setTimeout(() => show(root), EVERY_MS);
}

/** What the server tells: its sources or jobs, or a sentence on why there are none. */
async function ask(what, none) {
  try {
    const answer = await fetch(at(`/api/v2/${what}`), { headers: { Accept: "application/json" } });
    if (answer.status === 404) return `This server does not tell how its ${what} are.`;
    const told = await answer.json();
    if (!answer.ok) return told.message ?? `The server answered ${answer.status}.`;
    return Array.isArray(told[what]) && told[what].length ? told[what] : none;
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return "The server cannot be reached.";
    throw error;
  }
}

function contents(told, columns, rowOf) {
  if (typeof told === "string") return make("p", { className: "quiet", textContent: told });
  const head = columns.map((textContent) => make("th", { scope: "col", textContent }));
  return make("table", { className: "sources" }, make("thead", {}, make("tr", {}, head)), make("tbody", {}, told.map(rowOf)));
}

function jobRow(job) {
  const state = jobState(job);
  const name = make("th", { scope: "row" }, make("i", { className: `dot ${state}` }), String(job.name ?? ""),
    make("span", { className: "said", textContent: ` (${state})` }));
  if (job.last_error) name.title = String(job.last_error);
  const last = job.last_run ? `${ageText((Date.now() - Date.parse(job.last_run)) / 1000)} ago` : "never";
  const took = Number.isFinite(job.seconds) ? `${job.seconds.toFixed(job.seconds < 10 ? 2 : 0)} s` : "–";
  const did = Object.entries(job.did ?? {}).map(([what, value]) => `${what} ${JSON.stringify(value)}`).join(", ");
  const cells = [last, took, nextText(job)].map((textContent) => make("td", { textContent }));
  cells[0].title = did;
  return make("tr", {}, name, cells);
}

function nextText(job) {
  if (job.is_running) return "now";
  if (!job.next_run) return "–";
  if (job.lag_s >= 1) return `${ageText(job.lag_s)} late`;
  return `in ${ageText((Date.parse(job.next_run) - Date.now()) / 1000)}`;
}

/** well, failing (its last run failed) or waiting (it has not been done yet, or is very late). */
export function jobState(job) {
  if (job.consecutive_errors) return "failing";
  const isLate = job.lag_s > 180;
  return job.last_success && !isLate ? "well" : "waiting";
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
