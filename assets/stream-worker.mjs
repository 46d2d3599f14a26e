// The shared worker: all tabs of the page have one connection to the live stream, for browsers allow a server few.

import { Exchange } from "./stream.mjs";

const exchange = new Exchange((address) => new EventSource(address));

self.addEventListener("connect", ({ ports: [port] }) => {
  const hear = exchange.join((message) => port.postMessage(message));
  port.onmessage = ({ data }) => hear(data);
});
