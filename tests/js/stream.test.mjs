// The connection to the live stream: when it tries again, from where it goes on, and what it tells whom.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { addressOf, earlier, Exchange, retry_ms } from "../../assets/stream.mjs";

/** An EventSource in the hands of the test. */
class Source {
  closed = false;
  #listeners = {};

  constructor(address) {
    this.address = address;
  }

  addEventListener(name, act) {
    this.#listeners[name] = act;
  }

  close() {
    this.closed = true;
  }

  say(name, id, data = {}) {
    this.#listeners[name]({ lastEventId: id, data: JSON.stringify(data) });
  }
}

/** An exchange, the connections it opened and one function to make tabs, under a clock that the test moves. */
function began(t) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  t.after(() => mock.timers.reset());
  const opened = [];
  const exchange = new Exchange((address) => {
    opened.push(new Source(address));
    return opened.at(-1);
  });
  const tab = () => {
    const told = [];
    return { told, say: exchange.join((message) => told.push(message)) };
  };
  return { opened, tab };
}

const watch = (tickers, from = "5-0-1000", resolutions = ["1h"]) => ({ kind: "watch", tickers, resolutions, from });
const bucket = (ticker, resolution = "1h") => ({ ticker, resolution, count: 1 });
const states = (told) => told.filter((each) => each.kind === "state").map((each) => each.state);
const rows = (told) => told.filter((each) => each.kind === "news").flatMap((each) => each.rows.map((row) => row.ticker));

test("tries come after half a second, then more and more rarely, and never more than five seconds apart", () => {
  assert.deepEqual([0, 1, 2, 3, 20].map((failures) => retry_ms(failures, 0.5)), [500, 1000, 2000, 3600, 3600]);
  assert.ok(retry_ms(20, 1) < 5000);
  assert.notEqual(retry_ms(3, 0), retry_ms(3, 1), "not all at the same time");
});

test("of two ids the earlier place and the earlier time count, each by itself", () => {
  assert.equal(earlier("5-2-900", "5-10-800"), "5-2-800");
  assert.equal(earlier("10-0-100", "9-7-300"), "9-7-100");
  assert.equal(earlier(null, "9-7-300"), "9-7-300");
  assert.equal(earlier("9-7-300", null), "9-7-300");
});

test("the address names what is watched and from where; too many tickers are all of them", () => {
  assert.equal(
    addressOf(["BTC/USD"], ["1h", "1m"], "5-0-1"),
    "/api/v2/stream?resolutions=1h,1m&tickers=BTC%2FUSD&last_event_id=5-0-1",
  );
  const many = Array.from({ length: 51 }, (_, n) => `T${n}`);
  assert.equal(addressOf(many, ["1h"], null), "/api/v2/stream?resolutions=1h");
  assert.equal(addressOf([], ["1h"], null), null);
});

test("tabs share one connection, and each is told what it watches", (t) => {
  const { opened, tab } = began(t);
  const [first, second] = [tab(), tab()];
  first.say(watch(["AAPL"]));
  second.say(watch(["MSFT"]));
  mock.timers.tick(50);
  assert.deepEqual(
    opened.map((each) => each.address),
    ["/api/v2/stream?resolutions=1h&tickers=AAPL,MSFT&last_event_id=5-0-1000"],
  );
  opened[0].say("bucket_update", "6-1-1100", bucket("AAPL"));
  opened[0].say("partial_bucket", "6-2-1100", bucket("MSFT"));
  opened[0].say("partial_bucket", "6-3-1100", bucket("AAPL", "1m"));
  mock.timers.tick(1);
  assert.deepEqual([rows(first.told), rows(second.told)], [["AAPL"], ["MSFT"]]);
  assert.equal(first.told.at(-1).id, "6-3-1100", "everyone knows how far the stream is");
  assert.deepEqual(states(second.told), ["waiting", "live"]);
});

test("what is watched already needs no new connection; what is not brings one that misses nothing", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL", "MSFT"]));
  mock.timers.tick(50);
  opened[0].say("heartbeat", "7-0-2000");
  one.say(watch(["AAPL"], "7-0-2000"));
  mock.timers.tick(50);
  assert.equal(opened.length, 1);
  one.say(watch(["AAPL", "FB"], "7-0-2000"));
  mock.timers.tick(50);
  assert.ok(opened[0].closed);
  assert.match(opened[1].address, /tickers=AAPL,FB&last_event_id=7-0-2000$/);
});

test("a tab that comes back from behind is told what it missed, from where it was", (t) => {
  const { opened, tab } = began(t);
  const [seen, hidden] = [tab(), tab()];
  seen.say(watch(["AAPL"]));
  hidden.say(watch([]));
  mock.timers.tick(50);
  opened[0].say("heartbeat", "9-0-9000");
  hidden.say(watch(["AAPL"], "6-1-3000"));
  mock.timers.tick(50);
  assert.match(opened[1].address, /last_event_id=6-1-3000$/);
});

test("nobody watching closes the connection", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL"]));
  mock.timers.tick(50);
  one.say(watch([]));
  assert.ok(opened[0].closed);
  one.say({ kind: "bye" });
  mock.timers.tick(60_000);
  assert.equal(opened.length, 1);
});

test("a connection that breaks is tried again, and goes on where it was", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL"]));
  mock.timers.tick(50);
  opened[0].say("heartbeat", "7-0-2000");
  opened[0].onerror();
  assert.deepEqual(states(one.told), ["waiting", "live", "waiting"]);
  mock.timers.tick(700);
  assert.match(opened[1].address, /last_event_id=7-0-2000$/);
  opened[1].onerror();
  mock.timers.tick(700);
  assert.equal(opened.length, 2, "the second time it waits longer");
  mock.timers.tick(700);
  assert.equal(opened.length, 3);
  opened[2].say("heartbeat", "8-0-5000");
  assert.equal(states(one.told).at(-1), "live");
});

test("a connection that says nothing any more is given up, later each time it was only slow", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL"]));
  mock.timers.tick(50);
  mock.timers.tick(12_500);
  assert.ok(opened[0].closed);
  mock.timers.tick(1_000);
  mock.timers.tick(12_500);
  assert.ok(!opened[1].closed);
});

test("what an old connection still says is not heard", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL"]));
  mock.timers.tick(50);
  opened[0].onerror();
  opened[0].say("bucket_update", "9-9-9", bucket("AAPL"));
  mock.timers.tick(1);
  assert.deepEqual(rows(one.told), []);
});

test("without a network nothing is tried, and with one again at once", (t) => {
  const { opened, tab } = began(t);
  const one = tab();
  one.say(watch(["AAPL"]));
  mock.timers.tick(50);
  one.say({ kind: "network", online: false });
  mock.timers.tick(30_000);
  assert.equal(opened.length, 1);
  assert.equal(states(one.told).at(-1), "offline");
  one.say({ kind: "network", online: true });
  assert.equal(opened.length, 2);
});

test("a tab that is gone without a word is forgotten, one that says it is there is not", (t) => {
  const { opened, tab } = began(t);
  const [gone, here] = [tab(), tab()];
  gone.say(watch(["AAPL"]));
  here.say(watch(["MSFT"]));
  mock.timers.tick(50);
  for (let beats = 0; beats < 6; beats++) {
    mock.timers.tick(10_000);
    here.say({ kind: "here" });
    opened.at(-1).say("heartbeat", "7-0-2000");
  }
  mock.timers.tick(100);
  assert.match(opened.at(-1).address, /tickers=MSFT&/);
});
