// The menus of the bar: one is open at a time, and a click elsewhere or Escape closes it.

const menus = () => [...document.querySelectorAll("details.pop")];

/** Calls `fill` with the element to fill, each time the menu of this id opens, and `leave` when it closes. */
export function onOpen(id, fill, leave = () => {}) {
  const menu = document.getElementById(id);
  menu.addEventListener("toggle", () => (menu.open ? fill(document.getElementById(`${id}-menu`)) : leave()));
}

export function close(id) {
  const menu = document.getElementById(id);
  if (menu?.open) menu.open = false;
}

export function listen() {
  for (const menu of menus()) {
    menu.addEventListener("toggle", () => {
      if (menu.open) for (const other of menus()) if (other !== menu) other.open = false;
    });
  }
  document.addEventListener("click", ({ target }) => {
    // What a click has taken away was inside, and calendars hang elsewhere in the page.
    if (!target.isConnected || target.closest?.("[data-radix-popper-content-wrapper]")) return;
    for (const menu of menus()) if (menu.open && !menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && menus().find((menu) => menu.open);
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
    event.stopPropagation();
  }, { capture: true });
}
