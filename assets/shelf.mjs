// The shelf: what this browser keeps between visits, in IndexedDB. Chunks of candles, and a few facts the page begins
// with. All of it can be had again, so a failure here costs time and nothing else: the page then goes on without.

import { BASE } from "./address.mjs";

// Two Tickertones behind one proxy keep what is theirs apart.
const NAME = BASE === "/" ? "tickertone" : `tickertone ${BASE}`;
// Of the database's form; the form of chunks is part of their keys.
const VERSION = 1;
// About 50 MB. Older ones go when the page starts.
export const MOST_CHUNKS = 1_500;
const DAY_MS = 86_400_000;

/** The shelf of this browser; one that holds nothing where there is no IndexedDB, or it is switched off. */
export async function open(indexed = globalThis.indexedDB) {
  if (!indexed) return new Shelf(null);
  try {
    const request = indexed.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const store of request.result.objectStoreNames) request.result.deleteObjectStore(store);
      request.result.createObjectStore("chunks", { keyPath: "key" }).createIndex("used_day", "used_day");
      request.result.createObjectStore("facts");
    };
    return new Shelf(await settled(request));
  } catch (error) {
    console.warn("Nothing is kept in this browser:", error);
    return new Shelf(null);
  }
}

export class Shelf {
  #base;

  constructor(base) {
    this.#base = base;
    // Another tab brings a newer form: it must not wait for this one.
    if (base) base.onversionchange = () => this.#close();
  }

  /** The chunks of these keys that are here, by key. */
  async chunks(keys) {
    const found = new Map();
    await this.#within("chunks", "readonly", (store) =>
      Promise.all(
        keys.map(async (key) => {
          const record = await settled(store.get(key));
          if (record) found.set(key, record.chunk);
        }),
      ),
    );
    return found;
  }

  /** Keeps chunks, [key, chunk] each, over older ones of the same key. */
  async keep(entries) {
    const used_day = Math.floor(Date.now() / DAY_MS);
    await this.#within("chunks", "readwrite", (store) => {
      for (const [key, chunk] of entries) store.put({ key, chunk, used_day });
    });
  }

  /** Makes room: away with chunks beyond `most`, those of the earliest days first, and those `isForeign` names. */
  async prune(isForeign, most = MOST_CHUNKS) {
    await this.#within("chunks", "readwrite", async (store) => {
      const keys = await settled(store.index("used_day").getAllKeys());
      const foreign = keys.filter(isForeign);
      const ours = keys.filter((key) => !isForeign(key));
      for (const key of [...foreign, ...ours.slice(0, Math.max(0, ours.length - most))]) store.delete(key);
    });
  }

  async fact(name) {
    return this.#within("facts", "readonly", (store) => settled(store.get(name)));
  }

  async note(name, value) {
    await this.#within("facts", "readwrite", (store) => void store.put(value, name));
  }

  async #within(name, mode, act) {
    if (!this.#base) return undefined;
    try {
      const transaction = this.#base.transaction(name, mode);
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
      const [result] = await Promise.all([act(transaction.objectStore(name)), done]);
      return result;
    } catch (error) {
      // Full, broken, or closed under us: go on without.
      console.warn("This browser keeps nothing more:", error);
      this.#close();
      return undefined;
    }
  }

  #close() {
    this.#base?.close();
    this.#base = null;
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
