// What is counted: which texts (the variant) and whose scores. Part of a view and of its address; what is as usual (all
// texts, the default scorer) is left out of both. Pure.

const LONGEST_SCORER = 128;

/** What an address says is counted; what does not exist is kept for the server to explain. */
export function parse(asked, table) {
  const chosen = {};
  const variant = asked.get("variant");
  if (variant && variant !== table.variants[0].name) chosen.variant = variant;
  const scorer = asked.get("scorer")?.trim().slice(0, LONGEST_SCORER);
  if (scorer) chosen.scorer = scorer;
  return chosen;
}

/** The parts of an address that say it. */
export function format(view) {
  const parts = [];
  if (view.variant) parts.push(`variant=${encodeURIComponent(view.variant)}`);
  if (view.scorer) parts.push(`scorer=${encodeURIComponent(view.scorer).replaceAll("%40", "@")}`);
  return parts;
}

/** The view with other texts counted; `name` is one of table.variants. */
export function withVariant(view, name, table) {
  return { ...without(view, "variant"), ...(name !== table.variants[0].name && { variant: name }) };
}

/** The view by another scorer; null for the default one. */
export function withScorer(view, scorer) {
  return { ...without(view, "scorer"), ...(scorer && { scorer }) };
}

/** What a screen says is counted. `complete_ms` is from when on, where older texts are not kept; null without. */
export function statement(view, table, complete_ms = null) {
  const variant = table.variants.find((each) => each.name === view?.variant) ?? table.variants[0];
  const since = view?.variant && complete_ms !== null ? `, since ${new Date(complete_ms).toISOString().slice(0, 10)}` : "";
  return `${variant.statement}${since}${view?.scorer ? ` · ${view.scorer}` : ""}`;
}

function without(view, name) {
  const rest = { ...view };
  delete rest[name];
  return rest;
}
