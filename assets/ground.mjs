// What the page stands on: the facts that came with it, what this browser kept, and the cache and the loader over both.
// Nothing here waits for Dash or Plotly, which take a while.

import { Cache } from "./cache.mjs";
import { Loader } from "./preload.mjs";
import * as shelves from "./shelf.mjs";

export const { table, blanks, about } = JSON.parse(document.getElementById("facts").textContent);
export const shelf = await shelves.open();
/** The scorer that the address asks for; undefined for the default one. */
export const chosen = new URLSearchParams(window.location.search).get("scorer")?.trim() || undefined;
export const kept_as = `page ${about.store}${chosen ? ` ${chosen}` : ""}`;
/** {known, scorer, heard_ms} of the last visit; undefined for who comes for the first time. */
export const kept = await shelf.fact(kept_as);
export const cache = new Cache(shelf, about, table);

let told = [];
let listener = null;

/** Asks the server for chunks. */
export const loader = new Loader(cache, (news) => {
  told?.push(news);
  listener?.(news);
});

/** Calls `act` from now on with what the loader tells, and with what it has told already; nobody else any more. */
export function listen(act, { isLast = true } = {}) {
  listener = act;
  for (const news of told) act(news);
  if (isLast) told = null;
}
