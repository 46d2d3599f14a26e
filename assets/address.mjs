// Where the page stands: at the root of its server, or below a path that a proxy gives it. The scripts need not be told,
// for they know where they came from.

/** The path the page stands at, with a slash at its end, by the address of a script in its folder of assets. */
export function baseOf(script) {
  const { protocol, pathname } = new URL("..", script);
  return protocol.startsWith("http") ? pathname : "/"; // from a file when tests run it
}

export const BASE = baseOf(import.meta.url);

/** The address of a path of the server, which begins with a slash. */
export function at(path) {
  return BASE + path.slice(1);
}
