// The end of a session: when the server no longer knows who this is, the page is asked for anew, which leads to the login.

const MARK = "tickertone-session-ended";
// A server that lets the page through but not its questions must not make it load for ever.
const NOT_AGAIN_MS = 30_000;

/** Watches every answer, those that Dash asks for too, which leaves no other place to do it in. */
export function watch() {
  const ask = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await ask(...asked);
    if (answer.status === 401 && new URL(answer.url).origin === window.location.origin) ended();
    return answer;
  };
}

function ended() {
  const last_ms = Number(sessionStorage.getItem(MARK) ?? 0);
  if (Date.now() - last_ms < NOT_AGAIN_MS) return;
  sessionStorage.setItem(MARK, String(Date.now()));
  window.location.reload();
}
