// The page registers its service worker and tells it which files it is made of, once it is at rest.

import { at } from "./address.mjs";

const WORKER = at("/assets/service-worker.mjs");
// Not among what the page itself has loaded: it is loaded by a worker, or is the page.
const BESIDE = ["/", "/assets/stream-worker.mjs", "/assets/stream.mjs", "/assets/address.mjs"].map(at);
const FILES = /\/(assets|_dash-component-suites|_dash-layout|_dash-dependencies|_favicon\.ico)/;
const AT_REST_MS = 3_000;

export async function prepare() {
  if (!navigator.serviceWorker) return;
  await new Promise((resolve) => setTimeout(resolve, AT_REST_MS));
  try {
    await navigator.serviceWorker.register(WORKER, { type: "module", scope: at("/") });
    const { active } = await navigator.serviceWorker.ready;
    const loaded = performance.getEntriesByType("resource").map((each) => each.name);
    const files = loaded.filter((each) => each.startsWith(window.location.origin) && FILES.test(new URL(each).pathname));
    active.postMessage({ kind: "made of", addresses: [...new Set([...BESIDE, ...files])] });
  } catch (error) {
    console.warn("The page does not open without its server:", error);
  }
}
