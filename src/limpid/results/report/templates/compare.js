// Before and after: a range input moves the line where two images meet; radio buttons choose which two.
(function () {
  "use strict";
  document.querySelectorAll(".compare").forEach(function (figure) {
    var range = figure.querySelector("input[type=range]");
    function move() {
      figure.style.setProperty("--at", range.value + "%");
      range.setAttribute("aria-valuetext", range.value + " % " + figure.dataset.left + ", the rest " + figure.dataset.right);
    }
    function choose(pair) {
      var sides = pair.split(" ");
      figure.dataset.left = sides[0];
      figure.dataset.right = sides[1];
      figure.querySelector(".left").textContent = sides[0];
      figure.querySelector(".right").textContent = sides[1];
      move();
    }
    range.addEventListener("input", move);
    figure.querySelectorAll("input[type=radio]").forEach(function (radio) {
      radio.addEventListener("change", function () { choose(radio.value); });
      if (radio.checked) { choose(radio.value); } // a page that is gone back to keeps what was chosen
    });
    move();
  });
})();
