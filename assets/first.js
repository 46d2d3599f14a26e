// Runs before anything is painted, so that a page never flashes another theme, or a line, than the user chose.
(function () {
  try {
    const theme = window.localStorage.getItem("tickertone-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
    if (window.localStorage.getItem("tickertone-average") === "off") {
      document.documentElement.dataset.average = "off";
    }
  } catch {
    // Storage is switched off: the system's theme it is, and all lines.
  }
})();
