// Before anything is painted: the theme that was chosen last, and that there is a script at all.
(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("js");
  var order = ["automatic", "light", "dark"];
  function stored() {
    try { return localStorage.getItem("limpid-report-theme"); } catch (error) { return null; } // forbidden on file://
  }
  function show(theme) {
    if (theme === "automatic") { root.removeAttribute("data-theme"); } else { root.setAttribute("data-theme", theme); }
  }
  var theme = order.indexOf(stored()) < 0 ? "automatic" : stored();
  show(theme);
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.querySelector("button.theme");
    button.hidden = false;
    button.textContent = "Theme: " + theme;
    button.addEventListener("click", function () {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      show(theme);
      button.textContent = "Theme: " + theme;
      try { localStorage.setItem("limpid-report-theme", theme); } catch (error) { return; }
    });
  });
})();
