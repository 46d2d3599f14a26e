// A picture of one chart as it stands on the page, with what has to be known to read it: ticker, resolution, times, zone.

import { make } from "./element.mjs";
import { chartOf, scaleOf, stageOf } from "./stage.mjs";
import { spanText } from "./zone.mjs";

const SVG = "http://www.w3.org/2000/svg";
const HEAD_PX = 44;
const FOOT_PX = 22;
const SHARPNESS = 2;

/** The picture as a PNG, {blob, name}; null when there is no such chart. */
export async function pictureOf(ticker, zone) {
  const stage = stageOf(ticker);
  const chart = chartOf(stage);
  if (!chart) return null;
  const { width, height } = chart.getBoundingClientRect();
  const svg = drawing(stage, chart, zone, Math.round(width), Math.round(height));
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = make("canvas", { width: image.width * SHARPNESS, height: image.height * SHARPNESS });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((take) => canvas.toBlob(take, "image/png"));
    const { start_ms, end_ms } = scaleOf(chart);
    const [from, to] = [start_ms, end_ms].map((each_ms) => new Date(each_ms).toISOString().slice(0, 16).replace(/[-:]/g, ""));
    return { blob, name: `${ticker.replace(/[^\w.^=-]/g, "_")}-${chart.layout.meta.resolution}-${from}Z-${to}Z.png` };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Gives the user a file. */
export function hand({ blob, name }) {
  const href = URL.createObjectURL(blob);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), HANDED_MS);
}

const HANDED_MS = 30_000;

function drawing(stage, chart, zone, width, height) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const font = style.getPropertyValue("--font").trim();
  const total = height + HEAD_PX + FOOT_PX;
  const svg = node("svg", { width, height: total, viewBox: `0 0 ${width} ${total}` });
  const text = (content, x, y, how = {}) => {
    const made = node("text", { x, y, fill: colour("text"), "font-size": 12, "font-family": font, ...how });
    made.textContent = content;
    return made;
  };
  const { start_ms, end_ms } = scaleOf(chart);
  const { ticker, resolution, scorer } = chart.layout.meta;
  svg.append(
    node("rect", { width, height: total, fill: colour("panel") }),
    text(`${ticker}  ${resolution}`, 10, 20, { "font-size": 15, "font-weight": 650 }),
    text(spanText(start_ms, end_ms, zone), 10, 37, { fill: colour("muted") }),
  );
  const plot = node("g", { transform: `translate(0 ${HEAD_PX})` });
  for (const layer of chart.querySelectorAll("svg.main-svg")) {
    const copy = layer.cloneNode(true);
    for (const gone of copy.querySelectorAll(".hoverlayer, .draglayer")) gone.remove();
    const isPlain = document.documentElement.dataset.average === "off";
    if (isPlain) for (const line of copy.querySelectorAll(".js-line, .line-newest")) line.remove();
    copy.style.background = "none";
    plot.append(copy);
  }
  for (const label of stage.querySelectorAll(".axis span:not([hidden])")) {
    const at = label.getBoundingClientRect();
    const box = chart.getBoundingClientRect();
    const how = { "text-anchor": "middle", "font-size": 11, fill: colour(label.className ? "text" : "muted") };
    plot.append(text(label.textContent, at.left + at.width / 2 - box.left, at.bottom - box.top - 4, how));
  }
  svg.append(plot);
  const simulated = document.querySelector(".bar .badge") ? "simulated data · " : "";
  const said = document.querySelector("#counting > summary.chosen")?.textContent;
  const mark = `${simulated}${said ? `${said.toLowerCase()} · ` : ""}sentiment by ${scorer} · Tickertone`;
  svg.append(text(mark, width - 10, total - 8, { "text-anchor": "end", "font-size": 11, fill: colour("muted") }));
  return svg;
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
