// Whose clocks times are told on: this browser's, until the user chooses a zone, which the browser remembers and the
// address holds.

import { make } from "./element.mjs";
import * as zone from "./zone.mjs";

const KEY = "tickertone-zone";

/** The zone of a view. */
export function of(view) {
  return view?.zone ?? kept() ?? zone.own();
}

/** Fills the field of the menu; `desk` is what this needs: zone() and act(action). */
export function install(desk) {
  const root = document.getElementById("zone-menu");
  const names = make("datalist", { id: "zones" });
  const field = make("input", { id: "zone", type: "text", spellcheck: false, autocomplete: "off" });
  field.setAttribute("list", "zones");
  const note = make("span", { className: "quiet zone-note" });
  const own = make("button", { type: "button", className: "act", textContent: "Mine", title: zone.own() });
  const utc = make("button", { type: "button", className: "act", textContent: zone.UTC });
  root.append(make("label", { htmlFor: "zone", textContent: "Zone" }), field, make("div", { className: "line" }, own, utc), names, note);
  const paint = () => {
    if (document.activeElement !== field) field.value = desk.zone();
    note.textContent = `Times are told in ${desk.zone()}; buckets are aligned to UTC.`;
  };
  const choose = (name) => {
    keep(name);
    desk.act({ kind: "zone", zone: name });
  };
  field.addEventListener("focus", () => {
    if (!names.childElementCount) names.append(...zone.all().map((value) => make("option", { value })));
    field.select();
  });
  field.addEventListener("change", () => {
    const name = zone.tidy(field.value.trim().replaceAll(" ", "_"));
    field.setCustomValidity(name ? "" : "No such zone");
    field.reportValidity();
    if (name) choose(name);
  });
  own.addEventListener("click", () => choose(null));
  utc.addEventListener("click", () => choose(zone.UTC));
  document.getElementById("span").addEventListener("toggle", paint);
  paint();
  return paint;
}

function kept() {
  try {
    return zone.tidy(window.localStorage.getItem(KEY));
  } catch {
    return null; // storage is switched off
  }
}

function keep(name) {
  try {
    if (name) window.localStorage.setItem(KEY, name);
    else window.localStorage.removeItem(KEY);
  } catch {
    // Storage is switched off: the address holds it for as long as the page is open.
  }
}
