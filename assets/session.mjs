// The end of a session: when the server no longer knows who this is, the page is asked for anew, which leads to the login.

const MARK = "tickertone-session-ended";
// A server that lets the page through but not its questions must not make it load for ever.
const NOT_AGAIN_MS = 30_000;

let isOver = false;

/**
 * Watches every answer, those that Dash asks for too, which leaves no other place to do it in. Who asked a page that is
 * being left gets no answer: Dash would read one of 401 twice, and complain of itself.
 */
export function watch() {
  const ask = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await ask(...asked);
    const isRefused = answer.status === 401 && new URL(answer.url).origin === window.location.origin;
    return isRefused && isLeaving() ? new Promise(() => {}) : answer;
  };
}

/** Leaves for the login, unless that was tried a moment ago; says whether the page is being left. */
function isLeaving() {
  const last_ms = Number(sessionStorage.getItem(MARK) ?? 0);
  if (isOver || Date.now() - last_ms < NOT_AGAIN_MS) return isOver;
  isOver = true;
  sessionStorage.setItem(MARK, String(Date.now()));
  window.location.reload();
  return true;
}
