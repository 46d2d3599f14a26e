// The line of averages: shown until the user hides it, which this browser remembers. The style sheet does the hiding,
// so that no chart is drawn anew.

const KEY = "tickertone-average"; // first.js reads it as well

export function toggle() {
  const { dataset } = document.documentElement;
  if (dataset.average === "off") delete dataset.average;
  else dataset.average = "off";
  try {
    window.localStorage.setItem(KEY, dataset.average ?? "on");
  } catch {
    // Storage is switched off: it holds until the page is closed.
  }
}
