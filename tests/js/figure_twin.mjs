// Reads cases from standard input and writes the windows and figures that the browser would make of them.

import * as candles from "../../assets/candles.mjs";
import * as chunks from "../../assets/chunks.mjs";
import * as view from "../../assets/view.mjs";

const chunksOfInput = [];
for await (const part of process.stdin) chunksOfInput.push(part);
const { table, blanks, figures, windows } = JSON.parse(Buffer.concat(chunksOfInput).toString());

const made = figures.map(({ columns, window, about, now_ms, look }) => {
  const chunk = chunks.fromColumns(columns, about.width_ms, 1);
  const joined = chunks.joined([chunk], -Infinity, Infinity);
  return candles.figureOf(blanks, about, joined, window, now_ms, look);
});
const spans = windows.map(({ asked, known, now_ms }) => view.windowOf(asked, table, known, now_ms));
process.stdout.write(JSON.stringify({ figures: made, windows: spans }));
