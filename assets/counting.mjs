// The menu of what is counted: all texts, each story once, relevant ones; and whose scores they are. What the button says
// stands on the page at all times.

import { make } from "./element.mjs";
import * as menu from "./menu.mjs";

/** `desk` is what this needs: view(), act(action), table and scorers(), all that have scores here. */
export function install(desk) {
  menu.onOpen("counting", (root) => fill(root, desk));
}

function fill(root, desk) {
  const view = desk.view();
  const { variants } = desk.table;
  const option = (group, text, isChosen, action) =>
    make("label", { className: "option" },
      make("input", { type: "radio", name: group, checked: isChosen, onchange: () => desk.act(action) }),
      make("span", { textContent: text }));
  const [usual, ...others] = desk.scorers();
  root.replaceChildren(
    make("h2", { textContent: "Which texts count" }),
    make("div", { role: "radiogroup", aria: { label: "Which texts count" } },
      variants.map(({ name, statement }) =>
        option("variant", statement, (view.variant ?? variants[0].name) === name, { kind: "variant", name }))),
    ...(usual && (others.length || view.scorer)
      ? [
          make("h2", { textContent: "Whose scores" }),
          make("div", { role: "radiogroup", aria: { label: "Whose scores" } },
            option("scorer", `${usual} (usual)`, !view.scorer, { kind: "scorer", name: null }),
            others.map((name) => option("scorer", name, view.scorer === name, { kind: "scorer", name }))),
        ]
      : []),
  );
}
