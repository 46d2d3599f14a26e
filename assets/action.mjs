// What users ask for by a click, a key or a drag, outside the controls of the bar: small objects {kind, ...}.

import * as arrangement from "./arrangement.mjs";
import * as choice from "./choice.mjs";
import * as view from "./view.mjs";

/** The action of a button, from its data attributes; null when it is no such button. */
export function fromButton(button) {
  const { action, ticker, resolution, preset, start, end } = button.dataset;
  if (action === "remove") return { kind: "remove", ticker };
  if (action === "resolution") return { kind: "resolution", name: resolution };
  if (action === "average") return { kind: "average" };
  if (action === "coarser") return { kind: "coarser", name: resolution };
  if (action === "preset") return { kind: "preset", name: preset };
  if (action === "range") return { kind: "offer", start_ms: Number(start), end_ms: Number(end) };
  return arrangement.fromButton(button);
}

/**
 * The action of a key, unless the user is typing: 1 to 8 choose the resolution, + a finer and - a coarser one, 0 and End
 * go back to now, a shows or hides the averages.
 */
export function fromKey(event, table) {
  if (!event || event.altKey || event.ctrlKey || event.metaKey || event.repeat || isTyping(event)) return null;
  if (event.key === "a") return { kind: "average" };
  if (event.key === "+" || event.key === "=") return { kind: "step", by: -1 };
  if (event.key === "-") return { kind: "step", by: 1 };
  if (event.key === "0" || event.key === "End") return { kind: "preset", name: table.default_preset };
  const chosen = /^[1-9]$/.test(event.key) && table.resolutions[Number(event.key) - 1];
  return chosen ? { kind: "resolution", name: chosen.name } : null;
}

/** The view after an action. */
export function apply(held, action, table, known) {
  switch (action.kind) {
    case "remove":
      return view.without(held, action.ticker);
    case "resolution":
      return view.withResolution(held, action.name, table, known);
    case "step": {
      const names = table.resolutions.map((each) => each.name);
      const at = names.indexOf(held.resolution) + action.by;
      return at in names ? view.withResolution(held, names[at], table, known) : held;
    }
    case "coarser":
      return { ...held, resolution: action.name };
    case "preset":
      return view.withPreset(held, action.name, table, known);
    case "offer":
      return view.withOffer(held, action.start_ms, action.end_ms, table);
    case "view":
      return action.view;
    case "variant":
      return choice.withVariant(held, action.name, table);
    case "scorer":
      return choice.withScorer(held, action.name);
    case "range":
      return view.withRange(held, action.start_ms, action.end_ms);
    default:
      return arrangement.apply(held, action);
  }
}

function isTyping(event) {
  if (["TEXTAREA", "SELECT"].includes(event["target.tagName"])) return true;
  return event["target.tagName"] === "INPUT" && event["target.type"] !== "radio";
}
