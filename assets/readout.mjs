// The line of figures in the head of a chart.

import { make } from "./element.mjs";

/** Writes figures, [name, text, tone] each, into their place in a head; what stands there already is left alone. */
export function write(place, figures) {
  const line = place.firstElementChild ?? place.appendChild(make("div", { className: "figures" }));
  while (line.children.length > figures.length) line.lastChild.remove();
  figures.forEach(([name, text, tone], at) => {
    const span = line.children[at] ?? line.appendChild(document.createElement("span"));
    if (span.className !== tone) span.className = tone;
    if (span.firstChild?.textContent !== name) {
      const label = document.createElement("i");
      label.textContent = name;
      span.replaceChildren(label, text);
    } else if (span.lastChild.data !== text) span.lastChild.data = text; // an element less for the browser to look at
  });
}
