// The menu of watchlists: show one, keep what is on the page as one, forget one.

import { make } from "./element.mjs";
import * as menu from "./menu.mjs";
import * as watchlist from "./watchlist.mjs";

/** `desk` is what this needs: view() and act(action). */
export function install(desk) {
  menu.onOpen("lists", (root) => fill(root, desk));
  // Another tab has kept or forgotten one.
  window.addEventListener("storage", () => {
    const menu = document.getElementById("lists");
    if (menu.open && !menu.contains(document.activeElement)) fill(document.getElementById("lists-menu"), desk);
  });
}

/** What keeps lists; null where the browser is told to keep nothing. */
function storageNow() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

function fill(root, desk, said = "") {
  const storage = storageNow();
  const view = desk.view();
  const lists = watchlist.read(storage);
  const name = make("input", {
    type: "text", maxLength: watchlist.LONGEST_NAME, placeholder: "Name", value: view.list ?? "", required: true,
    aria: { label: "Name of the watchlist" },
  });
  const keep = (event) => {
    event.preventDefault();
    const chosen = watchlist.tidyName(name.value);
    if (!chosen) return;
    if (watchlist.save(storage, chosen, view.tickers)) {
      desk.act({ kind: "list", name: chosen, tickers: view.tickers });
      menu.close("lists");
    } else fill(root, desk, "This browser keeps no more lists.");
  };
  const isKept = view.list && watchlist.isKept(lists, view.list, view.tickers);
  const count = view.tickers.length;
  root.replaceChildren(
    make("h2", { textContent: "Watchlists" }),
    lists.length
      ? make("ul", { className: "lists" }, lists.map((each) => row(each, root, desk)))
      : make("p", { className: "quiet", textContent: "None yet. They are kept in this browser; the address holds the one that is shown." }),
    !isKept && count > 0 && make("form", { className: "keep", onsubmit: keep },
      make("label", { textContent: `Keep ${count === 1 ? "this ticker" : `these ${count} tickers`} as` }),
      make("div", { className: "line" }, name, make("button", { className: "act", textContent: "Keep" }))),
    said && make("p", { className: "quiet", role: "alert", textContent: said }),
  );
}

function row({ name, tickers }, root, desk) {
  const isShown = desk.view().list === name;
  const show = () => {
    desk.act({ kind: "list", name, tickers });
    menu.close("lists");
  };
  const forget = () => {
    watchlist.remove(storageNow(), name);
    fill(root, desk);
  };
  return make("li", {},
    make("button", { className: `list ${isShown ? "chosen" : ""}`, onclick: show },
      make("b", { textContent: name }),
      make("span", { className: "quiet", textContent: tickers.join(" ") })),
    make("button", { className: "icon icon-close", title: `Forget ${name}`, onclick: forget, aria: { label: `Forget ${name}` } }));
}
