/* What nbgrader writes into attributes and below the bar, where scripts are switched off. */
(function () {
  "use strict";
  $(".navbar .name-hidden.glyphicon").on("click", () => toggle_name(true))
    .tooltip({ title: "Show student name", placement: "bottom", trigger: "hover" });
  $(".navbar .name-shown.glyphicon").on("click", () => toggle_name(false))
    .tooltip({ title: "Hide student name", placement: "bottom", trigger: "hover" });

  // Formgrader sets up its keys when MathJax is there; without a network it never is. MathJax
  // itself must find its own settings under that name if it comes late.
  const configure = FormGrader.prototype.configureScrolling;
  FormGrader.prototype.configureScrolling = function () {
    const real = window.MathJax;
    if (!real.Hub) {
      window.MathJax = { Hub: { Startup: { signal: { Interest: (told) => told("End") } } } };
    }
    configure.call(this);
    window.MathJax = real;
  };
}());
