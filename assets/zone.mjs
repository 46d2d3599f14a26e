// Time zones: what clocks show somewhere at a moment, and which moment a clock means. Pure, over the browser's own table
// of zones, so that every change of summer time there ever was counts. Buckets are aligned to UTC whatever the zone.

export const UTC = "UTC";

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;

const formats = new Map();

/** The zone of this browser. */
export function own() {
  return tidy(Intl.DateTimeFormat().resolvedOptions().timeZone) ?? UTC;
}

/** A zone by its usual name; null when there is no such zone. */
export function tidy(name) {
  if (!name) return null;
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    return ["Etc/UTC", "Etc/GMT", "GMT", "UTC"].includes(timeZone) ? UTC : timeZone;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** All zones this browser knows, UTC first. */
export function all() {
  return [UTC, ...Intl.supportedValuesOf("timeZone").filter((name) => tidy(name) !== UTC)];
}

/** How far clocks there are ahead of UTC at a moment, in milliseconds. */
export function offset_ms(moment_ms, zone) {
  return zone === UTC ? 0 : wall_ms(moment_ms, zone) - moment_ms;
}

/** What clocks show at a moment, as the milliseconds since 1970 of a clock in UTC that shows the same. */
export function wall_ms(moment_ms, zone) {
  if (zone === UTC) return moment_ms;
  const whole_ms = Math.floor(moment_ms / 1000) * 1000;
  const shown = {};
  for (const { type, value } of formatOf(zone).formatToParts(whole_ms)) shown[type] = Number(value);
  const { year, month, day, hour, minute, second } = shown;
  const day_ms = new Date(0).setUTCFullYear(year, month - 1, day);
  return day_ms + (hour * 60 + minute) * 60_000 + second * 1000 + (moment_ms - whole_ms);
}

/**
 * The moment at which clocks show this. One they show twice is the first time; one they skip is as much later as they
 * skip, as everyone does who forgot to put a clock forward.
 */
export function momentOfWall(wall, zone) {
  const [before, after] = [offset_ms(wall - DAY_MS, zone), offset_ms(wall + DAY_MS, zone)];
  const fits = [wall - before, wall - after].filter((moment_ms) => wall_ms(moment_ms, zone) === wall);
  return fits.length ? Math.min(...fits) : wall - before;
}

/** The moment of a date (YYYY-MM-DD) and a time of day (HH:MM or HH:MM:SS, midnight when empty) there, or null. */
export function momentOf(date, time, zone) {
  const day = /^(\d{4}-\d\d-\d\d)/.exec(date ?? "");
  const clock = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec((time ?? "").trim() || "00:00");
  if (!day || !clock) return null;
  const wall = Date.parse(`${day[1]}T${clock[1].padStart(2, "0")}:${clock[2]}:${clock[3] ?? "00"}Z`);
  return Number.isNaN(wall) ? null : momentOfWall(wall, zone);
}

/** 2014-06-03 */
export function dateText(moment_ms, zone) {
  return iso(moment_ms, zone).slice(0, 10);
}

/** 14:05, or 14:05:09 with seconds */
export function timeText(moment_ms, zone, { seconds = false } = {}) {
  return iso(moment_ms, zone).slice(11, seconds ? 19 : 16);
}

/** Tue 3 Jun 2014 */
export function dayText(moment_ms, zone) {
  const day = new Date(wall_ms(moment_ms, zone));
  return `${WEEKDAYS[day.getUTCDay()]} ${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]} ${day.getUTCFullYear()}`;
}

export function monthText(moment_ms, zone) {
  return MONTHS[new Date(wall_ms(moment_ms, zone)).getUTCMonth()];
}

/** From and to: 2014-06-03 09:00 – 10:00 Berlin; the end has its date where that is another, or in full. */
export function spanText(start_ms, end_ms, zone, { inFull = false } = {}) {
  const [from, to] = [dateText(start_ms, zone), dateText(end_ms, zone)];
  const end = inFull ? `${to} ` : from === to ? "" : `${to.slice(0, 4) === from.slice(0, 4) ? to.slice(5) : to} `;
  return `${from} ${timeText(start_ms, zone)} – ${end}${timeText(end_ms, zone)} ${cityOf(zone)}`;
}

/** UTC+2, UTC−3:30 */
export function offsetText(moment_ms, zone) {
  const minutes = Math.round(offset_ms(moment_ms, zone) / 60_000);
  if (!minutes) return UTC;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `${UTC}${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
}

/** A zone in short: the last part of its name. */
export function cityOf(zone) {
  return zone.split("/").at(-1).replaceAll("_", " ");
}

function iso(moment_ms, zone) {
  return new Date(wall_ms(moment_ms, zone)).toISOString();
}

function formatOf(zone) {
  if (!formats.has(zone)) {
    const parts = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" };
    const how = { timeZone: zone, calendar: "iso8601", hourCycle: "h23", ...parts, second: "numeric" };
    formats.set(zone, new Intl.DateTimeFormat("en-US", how));
  }
  return formats.get(zone);
}
