// The texts of one candle, beside the charts: when, from whom, how it was scored, what it did to the candle, and what it
// says. Everything a text holds is shown as text (prose.mjs).

import { signed } from "./chart.mjs";
import { ORDERS, effectOf, roles, sorted } from "./effect.mjs";
import { make } from "./element.mjs";
import { hostOf, pieces, safeAddress } from "./prose.mjs";
import { speechOf } from "./speech.mjs";
import { candleAt, chartOf, nearest, scaleOf, stageOf } from "./stage.mjs";
import { MOST_TEXTS, Texts } from "./texts.mjs";
import { UTC, cityOf, dateText, dayText, spanText, timeText } from "./zone.mjs";

const PAGE = 100;
const DAY_MS = 86_400_000;
const AGAIN_MS = 400;
// As in the style sheet: below this the reader is a sheet at the bottom.
const NARROW = "(max-width: 799px)";

/** `desk` is what this needs: zone(), placed(open), which writes the address, mark(stage, moment_ms) and say(text). */
export class Reader {
  #desk;
  #root = document.getElementById("reader");
  #texts = new Texts();
  #open = null;
  #candle = null;
  #items = null;
  #shown = PAGE;
  #again = null;
  #parts = null;

  constructor(desk) {
    this.#desk = desk;
    this.#root.addEventListener("keydown", (event) => this.#press(event));
  }

  get place() {
    return this.#open && { ticker: this.#open.ticker, start_ms: this.#open.start_ms, order: this.#open.order };
  }

  /** Opens the candle of a ticker whose bucket holds a moment. */
  open(ticker, moment_ms, { order = this.#open?.order ?? ORDERS[0][0], takeFocus = true } = {}) {
    const chart = chartOf(stageOf(ticker));
    if (!chart) return;
    const { width_ms, resolution } = chart.layout.meta;
    const start_ms = Math.floor(moment_ms / width_ms) * width_ms;
    const isOther = this.#open?.ticker !== ticker || this.#open.start_ms !== start_ms || this.#open.width_ms !== width_ms;
    this.#open = { ticker, start_ms, width_ms, resolution, order };
    this.#parts ??= this.#build();
    this.#root.hidden = false;
    if (isOther) this.#shown = PAGE;
    this.#candle = candleOf(chart, start_ms);
    this.#dock(chart);
    this.#head();
    this.#desk.placed(this.place);
    this.#desk.mark(stageOf(ticker), start_ms);
    if (isOther) this.#load();
    else if (this.#items) this.#list(); // else it is on its way
    if (takeFocus) this.#parts.list.focus({ preventScroll: true });
  }

  close() {
    if (!this.#open) return;
    const stage = stageOf(this.#open.ticker);
    const hadFocus = this.#root.contains(document.activeElement);
    this.#open = this.#items = null;
    this.#texts.abandon();
    clearTimeout(this.#again);
    this.#root.hidden = true;
    this.#desk.placed(null);
    if (hadFocus) stage?.focus({ preventScroll: true, focusVisible: false });
  }

  /** The chart was drawn anew: its candle may have more texts now, or another width. */
  drew(chart) {
    if (!this.#open || chart.layout.meta.ticker !== this.#open.ticker) return;
    const { width_ms } = chart.layout.meta;
    if (width_ms !== this.#open.width_ms) {
      this.open(this.#open.ticker, this.#open.start_ms, { takeFocus: false });
      return;
    }
    const candle = candleOf(chart, this.#open.start_ms);
    if (!candle || candle.count === this.#candle?.count) return;
    this.#candle = candle;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#load(), AGAIN_MS);
  }

  /** Times are told by other clocks now. */
  zoned() {
    if (!this.#open) return;
    this.#head();
    if (this.#items) this.#list();
  }

  /** To the next candle that has texts, or the one before. */
  step(by) {
    const chart = chartOf(stageOf(this.#open.ticker));
    if (!chart) return;
    const { x } = chart.data[0];
    const held = nearest(x, this.#open.start_ms);
    const isThere = x[held] === this.#open.start_ms;
    const to = by < 0 && !isThere ? held : held + by;
    if (!(to in x)) return;
    this.open(this.#open.ticker, x[to], { takeFocus: false });
    this.#desk.say(speechOf(chart, to, this.#desk.zone()));
  }

  #press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.close();
    else if (event.target.tagName !== "SELECT" && event.key === "ArrowLeft") this.step(-1);
    else if (event.target.tagName !== "SELECT" && event.key === "ArrowRight") this.step(1);
    else return;
    event.preventDefault();
  }

  async #load() {
    const { ticker, start_ms, width_ms } = this.#open;
    const { list, note } = this.#parts;
    this.#items = null;
    list.setAttribute("aria-busy", "true");
    try {
      const items = await this.#texts.of(ticker, start_ms, start_ms + width_ms, this.#candle?.count, this.#desk.view());
      if (items === null || !this.#open) return;
      this.#items = items;
      this.#candle ??= summed(items.filter((item) => item.counts));
      this.#head();
      this.#list();
      list.scrollTop = 0;
    } catch (error) {
      list.replaceChildren();
      const again = make("button", { className: "act", textContent: "Try again", onclick: () => this.#load() });
      const why = error instanceof TypeError ? "The server cannot be reached, so its texts cannot be read now." : error.message;
      note.replaceChildren(make("span", { textContent: why }), again);
    }
    list.removeAttribute("aria-busy");
  }

  #build() {
    const button = (className, title, act) =>
      make("button", { className: `icon ${className}`, title, onclick: act, aria: { label: title } });
    const parts = {
      title: make("h2"),
      when: make("p", { className: "when" }),
      bucket: make("p", { className: "quiet bucket" }),
      values: make("p", { className: "values" }),
      balance: make("div", { className: "balance" }),
      note: make("div", { className: "reader-note", role: "status" }),
      list: make("ol", { className: "texts", tabIndex: 0, aria: { label: "Texts" } }),
      order: make("select", { onchange: ({ target }) => this.#reorder(target.value) },
        ORDERS.map(([value, label]) => make("option", { value, textContent: label }))),
    };
    const order = make("label", { className: "order" }, make("span", { textContent: "Sorted by" }), parts.order);
    this.#root.replaceChildren(
      make("header", {},
        make("div", { className: "reader-bar" }, parts.title,
          button("icon-before", "The candle before (arrow left)", () => this.step(-1)),
          button("icon-after", "The next candle (arrow right)", () => this.step(1)),
          button("icon-close", "Close (Escape)", () => this.close())),
        parts.when, parts.bucket, parts.values, parts.balance, order),
      parts.note,
      parts.list,
    );
    return parts;
  }

  #reorder(order) {
    this.#open.order = order;
    this.#shown = PAGE;
    this.#desk.placed(this.place);
    if (this.#items) this.#list();
    this.#parts.list.scrollTop = 0;
  }

  /** The side of the page on which the candle is not. */
  #dock(chart) {
    if (window.matchMedia(NARROW).matches) {
      this.#root.classList.remove("left");
      return;
    }
    const box = chart.getBoundingClientRect();
    const x = box.left + scaleOf(chart).x(this.#open.start_ms + this.#open.width_ms / 2);
    const width = this.#root.offsetWidth + 24;
    const isLeft = this.#root.classList.contains("left");
    // It stays where it is for as long as it does not hide the candle.
    if (isLeft ? x < width : x > window.innerWidth - width) this.#root.classList.toggle("left");
  }

  #head() {
    const { title, when, bucket, values, balance, order } = this.#parts;
    const { ticker, resolution, start_ms, width_ms } = this.#open;
    const zone = this.#desk.zone();
    const [from, end_ms] = [timeText(start_ms, zone), start_ms + width_ms];
    const isSameDay = dateText(start_ms, zone) === dateText(end_ms, zone);
    const to = isSameDay ? timeText(end_ms, zone) : `${dayText(end_ms, zone).slice(0, -5)} ${timeText(end_ms, zone)}`;
    title.replaceChildren(ticker, make("small", { textContent: resolution }));
    when.textContent = `${dayText(start_ms, zone)} ${from} – ${to} ${cityOf(zone)}`;
    bucket.textContent = zone === UTC ? "" : `Bucket ${spanText(start_ms, end_ms, UTC)}`;
    order.value = this.#open.order;
    const candle = this.#candle;
    values.replaceChildren();
    balance.replaceChildren();
    if (!candle) return;
    const way = candle.close > candle.open ? "rising" : candle.close < candle.open ? "falling" : "flat";
    for (const [name, value, tone] of [
      ["O", signed(candle.open), way], ["H", signed(candle.high), way], ["L", signed(candle.low), way],
      ["C", signed(candle.close), way], ["avg", signed(candle.avg), "plain"], ["n", candle.count.toLocaleString("en-US"), "plain"],
    ]) {
      values.append(make("span", { className: tone }, make("i", { textContent: name }), value));
    }
    for (const label of ["positive", "neutral", "negative"]) {
      if (!candle[label]) continue;
      const part = make("span", { className: label, textContent: `${candle[label].toLocaleString("en-US")} ${label}` });
      part.style.flexGrow = candle[label];
      balance.append(part);
    }
  }

  #list() {
    const { list, note } = this.#parts;
    const ordered = sorted(this.#items, this.#open.order, this.#candle ?? { avg: 0, count: 0 });
    const counted = this.#items.filter((item) => item.counts);
    const decided = this.#items.length < MOST_TEXTS ? roles(counted) : new Map();
    list.replaceChildren(...ordered.slice(0, this.#shown).map((item) => this.#row(item, decided.get(item.id) ?? [])));
    const rest = ordered.length - this.#shown;
    if (rest > 0) {
      const more = () => {
        this.#shown += PAGE;
        this.#list();
      };
      const text = `Show ${Math.min(rest, PAGE)} more of ${rest.toLocaleString("en-US")}`;
      list.append(make("li", { className: "more" }, make("button", { className: "act", textContent: text, onclick: more })));
    }
    const missing = (this.#candle?.count ?? 0) - counted.length;
    note.textContent = !ordered.length
      ? "No texts in this bucket."
      : missing > 0 && this.#items.length >= MOST_TEXTS
        ? `The newest ${this.#items.length.toLocaleString("en-US")} texts of ${this.#candle.count.toLocaleString("en-US")}.`
        : "";
  }

  #row(item, decides) {
    const zone = this.#desk.zone();
    const published_ms = Date.parse(item.published);
    const time = timeText(published_ms, zone, { seconds: true });
    const isLong = this.#open.width_ms >= DAY_MS / 4;
    const effect = effectOf(item.score, this.#candle ?? { avg: 0, count: 0 });
    const address = safeAddress(item.url);
    return make("li", { className: item.counts ? "" : "left-out" },
      make("div", { className: "about" },
        make("time", {
          dateTime: item.published,
          title: `${item.published.replace("T", " ").replace("Z", "")} UTC`,
          textContent: isLong ? `${dateText(published_ms, zone).slice(5)} ${time}` : time,
        }),
        make("span", { className: `score ${item.label}`, textContent: `${signed(item.score)} ${item.label}` }),
        decides.length > 0 && make("span", { className: "roles", textContent: decides.join(" · ") }),
        make("span", {
          className: "effect",
          title: "What the average of this candle would lose without this text",
          textContent: !item.counts ? "not counted" : this.#candle?.count > 1 ? `avg ${signed(effect)}` : "all of it",
        })),
      make("p", { className: "text", dir: "auto" },
        item.text ? pieces(item.text).map((piece) => (piece.address ? link(piece.address, piece.text) : piece.text)) :
          make("span", { className: "quiet", textContent: "No text was kept." })),
      make("div", { className: "from" },
        make("span", { textContent: item.source ?? "" }),
        address && link(address, `${hostOf(address)} ↗`)));
  }
}

function link(href, text) {
  return make("a", { href, textContent: text, target: "_blank", rel: "noopener noreferrer nofollow" });
}

/** The candle of a chart that starts then; null when the chart does not hold it. */
function candleOf(chart, start_ms) {
  const at = candleAt(chart, start_ms);
  if (at < 0) return null;
  const candles = chart.data[0];
  const [avg, count, positive, neutral, negative] = candles.customdata[at];
  const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => candles[name][at]);
  return { open, high, low, close, avg, count, positive, neutral, negative };
}

/** The candle that texts make, newest first, where no chart holds it. */
function summed(items) {
  if (!items.length) return null;
  const scores = items.map((item) => item.score);
  const labelled = (label) => items.filter((item) => item.label === label).length;
  return {
    open: scores.at(-1), high: Math.max(...scores), low: Math.min(...scores), close: scores[0],
    avg: scores.reduce((sum, score) => sum + score, 0) / scores.length, count: scores.length,
    positive: labelled("positive"), neutral: labelled("neutral"), negative: labelled("negative"),
  };
}
