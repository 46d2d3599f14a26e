// The shared worker: all tabs of the page have one connection to the live stream, for browsers allow a server few.

import { byScorer, Exchange } from "./stream.mjs";

// Its name says whose scores the tabs watch: those of another scorer have a worker of their own.
const scorer = self.name.replace(/^tickertone ?/, "");
const exchange = new Exchange((address) => new EventSource(address + byScorer(scorer)));

self.addEventListener("connect", ({ ports: [port] }) => {
  const hear = exchange.join((message) => port.postMessage(message));
  port.onmessage = ({ data }) => hear(data);
});
