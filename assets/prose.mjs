// Texts that others wrote, as something a page may show: never markup, and links only where they lead to the web. Pure.

const ADDRESS = /https?:\/\/[^\s<>"'“”‘’…]+/giu;
// What ends a sentence ends an address too.
const TAIL = /[.,;:!?)\]}]+$/u;

/** An address that may be followed: of the web, and no other scheme; null for what is none. */
export function safeAddress(text) {
  if (typeof text !== "string") return null;
  let address;
  try {
    address = new URL(text.trim());
  } catch {
    return null; // not an address at all
  }
  const isWeb = address.protocol === "https:" || address.protocol === "http:";
  return isWeb && !address.username && !address.password ? address.href : null;
}

/** A text in pieces, [{text, address}], of which those with an address are links. */
export function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const word = match[0].replace(TAIL, "");
    const address = safeAddress(word);
    if (!address) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index), address: null });
    found.push({ text: word, address });
    end = match.index + word.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), address: null });
  return found;
}

/** The host of an address, as people call it. */
export function hostOf(address) {
  return new URL(address).hostname.replace(/^www\./, "");
}
