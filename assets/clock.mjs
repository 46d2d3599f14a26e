// The server's clock, and how far open buckets are by it. The user's own clock may be wrong by hours.

let ahead_ms = 0;

export function set(server_now_ms, here_now_ms = Date.now()) {
  ahead_ms = server_now_ms - here_now_ms;
}

export function now_ms(here_now_ms = Date.now()) {
  return here_now_ms + ahead_ms;
}

/** How much of a bucket is over: 0 at its start, below 100 until its end, 100 from then on. */
export function percent(start_ms, end_ms, at_ms) {
  if (at_ms >= end_ms) return 100;
  return Math.max(0, Math.floor((100 * (at_ms - start_ms)) / (end_ms - start_ms)));
}

/** mm:ss, or h:mm:ss from an hour on. */
export function left(end_ms, at_ms) {
  const seconds = Math.max(0, Math.ceil((end_ms - at_ms) / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return seconds < 3600 ? rest : `${Math.floor(seconds / 3600)}:${rest}`;
}

/** How long ago something was: 12 s, 3 min, 5 h. */
export function age(silent_ms) {
  const seconds = Math.floor(silent_ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

/** Writes progress and time left into every element that says when its bucket starts and ends. */
export function paint(root = document) {
  for (const element of root.querySelectorAll(".progress[data-end-ms]")) {
    const [start_ms, end_ms] = [Number(element.dataset.startMs), Number(element.dataset.endMs)];
    const done = percent(start_ms, end_ms, now_ms());
    const text = done < 100 ? `${done} % · ${left(end_ms, now_ms())} left` : "closing";
    if (element.textContent !== text) {
      element.textContent = text;
      element.style.setProperty("--done", `${done}%`);
    }
  }
}
