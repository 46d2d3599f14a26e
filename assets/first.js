// Runs before anything is painted, so that a page in the theme the user chose never flashes the other one.
(function () {
  try {
    const theme = window.localStorage.getItem("tickertone-theme");
    if (theme === "light" || theme === "dark") {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // Storage is switched off: the system's theme it is.
  }
})();
