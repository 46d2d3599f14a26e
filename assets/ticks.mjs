// The labels of axes: where they stand and what they say, moments on the clocks of a zone, and counts. Pure.

import { momentOfWall, offset_ms, wall_ms } from "./zone.mjs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS_MS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE).concat([1, 2, 3, 6, 12].map((n) => n * HOUR));
const DAYS = [1, 2, 4, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120, 240];
const MONTH_MS = 30.44 * DAY;
// Two labels this far apart do not touch.
const LABEL_PX = 66;
const NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * The labels of an axis, [{at_ms, text, strong}], ascending. Strong is what begins a day among hours, a month among days, a
 * year among months.
 */
export function ticks(start_ms, end_ms, width_px, zone) {
  if (!(end_ms > start_ms) || !(width_px > 0)) return [];
  const least_ms = ((end_ms - start_ms) * LABEL_PX) / width_px;
  const step_ms = STEPS_MS.find((each) => each >= least_ms);
  const days = DAYS.find((each) => each * DAY >= least_ms);
  const walls = step_ms
    ? evenly(start_ms, end_ms, step_ms, zone)
    : days
      ? evenly(start_ms, end_ms, days * DAY, zone)
      : monthly(start_ms, end_ms, MONTHS.find((each) => each * MONTH_MS >= least_ms) ?? MONTHS.at(-1), zone);
  const found = [];
  for (const wall of walls) {
    const at_ms = momentOfWall(wall, zone);
    const isThere = wall_ms(at_ms, zone) === wall; // clocks skip an hour in spring
    if (isThere && at_ms >= start_ms && at_ms < end_ms) found.push({ at_ms, ...labelOf(wall, step_ms ? 0 : days ? 1 : 2) });
  }
  return found;
}

function evenly(start_ms, end_ms, step_ms, zone) {
  const from = Math.ceil((start_ms + Math.min(offset_ms(start_ms, zone), offset_ms(end_ms, zone))) / step_ms) * step_ms;
  const to = end_ms + Math.max(offset_ms(start_ms, zone), offset_ms(end_ms, zone));
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step_ms)) }, (_, nth) => from + nth * step_ms);
}

function monthly(start_ms, end_ms, months, zone) {
  const first = new Date(wall_ms(start_ms, zone));
  const count = first.getUTCFullYear() * 12 + first.getUTCMonth();
  const walls = [];
  for (let month = Math.floor(count / months) * months; ; month += months) {
    const wall = new Date(0).setUTCFullYear(Math.floor(month / 12), month % 12, 1);
    if (wall > wall_ms(end_ms, zone)) return walls;
    walls.push(wall);
  }
}

/** `coarseness`: 0 where labels are hours, 1 where they are days, 2 where they are months. */
function labelOf(wall, coarseness) {
  const at = new Date(wall);
  const [day, month] = [at.getUTCDate(), at.getUTCMonth()];
  if (wall % DAY !== 0) {
    const two = (number) => String(number).padStart(2, "0");
    return { text: `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`, strong: false };
  }
  const begins = day > 1 ? 0 : month > 0 ? 1 : 2; // a day, a month, a year
  const name = coarseness === 2 ? NAMES[month] : `${day} ${NAMES[month]}`;
  return { text: begins === 2 ? `${at.getUTCFullYear()}` : name, strong: begins >= coarseness };
}

const UNITS = ["", "k", "M", "G"];

/** The labels of a scale of counts that ends at `end`, [{at, text}]: its ends, and the middle where that is as round. */
export function countLabels(end, room = Infinity) {
  const middle = end / 2;
  const isRound = middle < 1 ? false : String(middle).replace(/0+$/, "").length === 1 || middle % 25 === 0;
  const places = isRound && room >= 4 ? [0, middle, end] : [0, end];
  return places.map((at) => ({ at, text: countText(at) }));
}

function countText(count) {
  const power = count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  return `${Number((count / 1000 ** power).toPrecision(3))}${UNITS[power]}`;
}
