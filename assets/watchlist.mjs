// Watchlists: named lists of tickers, kept in this browser. The address holds the tickers themselves and the name of
// their list, so that a list can be sent to someone who does not have it.

const KEY = "tickertone-watchlists";
export const MOST_LISTS = 50;
export const LONGEST_NAME = 40;

/** A name as lists have it; empty when nothing is left of it. */
export function tidyName(text) {
  return String(text ?? "").replace(/\s+/g, " ").trim().slice(0, LONGEST_NAME);
}

/** The lists that are kept, [{name, tickers}], by name; what storage holds beside them is left out. */
export function read(storage) {
  let kept;
  try {
    kept = JSON.parse(storage.getItem(KEY) ?? "[]");
  } catch {
    return []; // storage is switched off, or holds something else
  }
  if (!Array.isArray(kept)) return [];
  const isList = (each) => tidyName(each?.name) && Array.isArray(each.tickers);
  const lists = kept.filter(isList).map(({ name, tickers }) => ({ name: tidyName(name), tickers: tickers.map(String) }));
  return lists.sort((a, b) => a.name.localeCompare(b.name));
}

/** Keeps a list, in place of one of the same name; false when this browser keeps nothing, or too many already. */
export function save(storage, name, tickers) {
  const others = read(storage).filter((each) => each.name !== name);
  return others.length < MOST_LISTS && write(storage, [...others, { name, tickers }]);
}

export function remove(storage, name) {
  return write(storage, read(storage).filter((each) => each.name !== name));
}

/** Whether a list is kept just so. */
export function isKept(lists, name, tickers) {
  const held = lists.find((each) => each.name === name);
  return Boolean(held) && held.tickers.length === tickers.length && held.tickers.every((each, at) => each === tickers[at]);
}

function write(storage, lists) {
  try {
    storage.setItem(KEY, JSON.stringify(lists));
    return true;
  } catch {
    return false; // storage is switched off or full
  }
}
