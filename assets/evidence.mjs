// How much a candle is worth: one of a single text is weak, one of many is firm, so that a lone tweet does not look like
// a crash. Pure. Whoever draws candles takes the class of each from here, and draws each class with its opacity.

/** The classes, weakest first; a candle is of the last one whose `least` texts it has. */
export const WEIGHTS = [
  { name: "lone", least: 0, opacity: 0.4 },
  { name: "few", least: 2, opacity: 0.7 },
  { name: "many", least: 5, opacity: 1 },
];

/** Which of WEIGHTS a candle of so many texts is of, as its index. */
export function weightOf(count) {
  let weight = 0;
  while (weight + 1 < WEIGHTS.length && count >= WEIGHTS[weight + 1].least) weight += 1;
  return weight;
}
