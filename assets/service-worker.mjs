// The service worker: with the server gone the page still opens, from the files it last came with; candles come from the
// shelf. The server is always asked first, so nobody sees an old page while there is a new one. Files whose address
// names their version are not asked for twice.

import { at, BASE } from "./address.mjs";

const KIND = "tickertone-shell-";
const SHELL = BASE === "/" ? `${KIND}1` : `${KIND}1 ${BASE}`;
const PREFIXES = ["/assets/", "/_dash-component-suites/", "/_dash-layout", "/_dash-dependencies", "/_favicon.ico"].map(at);
const CALLBACK = at("/_dash-update-component");
const VERSIONED = /\.v[\w.-]*m\d+\.|[?&]m=/;
// A server that takes so long to begin an answer is as good as gone, where an older answer is at hand.
const PATIENCE_MS = 2_500;

self.addEventListener("install", (event) => {
  // What its address names the version of, the browser takes from the cache without asking here.
  const urlPattern = new URLPattern({ pathname: at("/assets/*"), search: "*m=*" });
  event.addRoutes?.({ condition: { urlPattern }, source: { cacheName: SHELL } })?.catch(() => {});
  void self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (isOld(name)) await caches.delete(name);
      await self.registration.navigationPreload?.enable(); // the server is asked while this starts
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (request.method === "POST" && pathname === CALLBACK) event.respondWith(callback(request));
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && pathname === BASE) event.respondWith(answer(request, BASE, event.preloadResponse));
  else if (PREFIXES.some((each) => pathname.startsWith(each))) event.respondWith(answer(request, request.url));
});

/** Of this page, but of another form: other pages of the same host have caches too. */
function isOld(name) {
  return name !== SHELL && name.startsWith(KIND) && (name.split(" ")[1] ?? "/") === BASE;
}

/** A page says which files it is made of: they are kept, and others let go. */
self.addEventListener("message", (event) => {
  if (event.data.kind === "made of") event.waitUntil(keep(event.data.addresses));
});

async function keep(addresses) {
  const shell = await caches.open(SHELL);
  const wanted = new Set(addresses.map((each) => new URL(each, self.location.origin).href));
  for (const { url } of await shell.keys()) if (!wanted.has(url)) await shell.delete(url);
  for (const url of wanted) {
    if (await shell.match(url)) continue;
    const answered = await fetch(url).catch(() => null);
    // What leads elsewhere leads to the login.
    if (answered?.ok && !answered.redirected) await shell.put(url, answered);
  }
}

/** `ahead` may bring the server's answer, which the browser has asked for by itself. */
async function answer(request, address, ahead = null) {
  const shell = await caches.open(SHELL);
  const held = await shell.match(address);
  if (held && VERSIONED.test(address)) return held;
  const asking = ahead ? ahead.then((fresh) => fresh ?? fetch(request)) : fetch(request);
  const asked = asking.then(async (fresh) => {
    const isNew = fresh.ok && (!held || held.headers.get("etag") !== fresh.headers.get("etag") || !fresh.headers.get("etag"));
    if (isNew) await shell.put(address, fresh.clone());
    return fresh;
  });
  if (!held) return asked;
  return Promise.race([asked.catch(() => held), late(held)]);
}

function late(held) {
  return new Promise((resolve) => setTimeout(() => resolve(held.clone()), PATIENCE_MS));
}

/** A callback that cannot reach its server changes nothing; Dash takes 204 for that. */
function callback(request) {
  return fetch(request).catch(() => new Response(null, { status: 204 }));
}
