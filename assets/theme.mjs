// Light or dark: the system's choice until the user makes one, which this browser remembers.

const KEY = "tickertone-theme"; // first.js reads it as well
const dark = window.matchMedia("(prefers-color-scheme: dark)");

export function current() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

export function toggle() {
  const theme = current() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    window.localStorage.setItem(KEY, theme);
  } catch {
    // Storage is switched off: it holds until the page is closed.
  }
  return theme;
}

export function onSystemChange(tell) {
  dark.addEventListener("change", () => tell(current()));
}
