// What each text of a candle does to it, and the orders in which texts are read. Pure.

/** The orders, as [name, label]; the first is the default. */
export const ORDERS = [
  ["effect", "Effect on the average"],
  ["newest", "Newest first"],
  ["oldest", "Oldest first"],
  ["highest", "Most positive first"],
  ["lowest", "Most negative first"],
  ["source", "By source"],
];

/**
 * How far a text moves the average of its candle: the average less what it would be without the text. That of the only
 * text is its score.
 */
export function effectOf(score, { avg, count }) {
  return count > 1 ? (score - avg) / (count - 1) : score;
}

/** Which of open, high, low and close a text decides, from all texts of the candle, newest first, as the API gives them. */
export function roles(items) {
  const decided = new Map();
  const decide = (at, role) => {
    if (at < 0 || at >= items.length) return;
    decided.set(items[at].id, [...(decided.get(items[at].id) ?? []), role]);
  };
  const scores = items.map((item) => item.score);
  decide(items.length - 1, "open");
  decide(scores.lastIndexOf(Math.max(...scores)), "high");
  decide(scores.lastIndexOf(Math.min(...scores)), "low");
  decide(items.length ? 0 : -1, "close");
  return decided;
}

/** The texts in an order; equal ones stay newest first. */
export function sorted(items, order, candle) {
  const newest = (a, b) => Date.parse(b.published) - Date.parse(a.published);
  const effect = (item) => (item.counts === false ? -1 : Math.abs(effectOf(item.score, candle))); // left out: last
  const compare = {
    effect: (a, b) => effect(b) - effect(a),
    newest,
    oldest: (a, b) => -newest(a, b),
    highest: (a, b) => b.score - a.score,
    lowest: (a, b) => a.score - b.score,
    source: (a, b) => (a.source ?? "").localeCompare(b.source ?? ""),
  }[order];
  return [...items].sort((a, b) => compare(a, b) || newest(a, b));
}
