// What Dash's own controls (4.4) tell those who hear the page, put right: a row of radio buttons calls itself a list of
// options, a hidden field of the dropdown takes the focus instead of its button, and the field of a date says that it is
// unfolded though it is nothing that unfolds.

const WRONG = [
  // [which elements, attributes to set, attributes to take away]
  [".segments[role=listbox]", { role: "radiogroup" }, ["aria-multiselectable"]],
  [".segments .dash-options-list-option", {}, ["role", "aria-selected"]],
  [".dash-dropdown-focus-target[tabindex='0']", { tabindex: "-1" }, []],
  ["button.dash-dropdown", { tabindex: "0" }, ["aria-labelledby"]],
  [".dash-datepicker-input-wrapper", {}, ["aria-expanded", "aria-haspopup", "aria-labelledby", "aria-disabled", "aria-controls"]],
];

/** Mends the controls in an element, now and whenever they are drawn anew. */
export function keep(root) {
  const mend = () => {
    for (const [which, right, gone] of WRONG) {
      for (const element of root.querySelectorAll(which)) {
        for (const [name, value] of Object.entries(right)) {
          if (element.getAttribute(name) !== value) element.setAttribute(name, value);
        }
        for (const name of gone) if (element.hasAttribute(name)) element.removeAttribute(name);
      }
    }
    for (const group of root.querySelectorAll("[role=radiogroup]:not([aria-label])")) {
      group.setAttribute("aria-label", group.closest("[role=group]")?.getAttribute("aria-label") ?? "");
    }
  };
  const attributeFilter = ["role", "tabindex", "aria-selected", "aria-labelledby", "aria-expanded", "aria-haspopup"];
  new MutationObserver(mend).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter });
  mend();
}
